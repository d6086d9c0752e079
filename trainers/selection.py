"""Which epoch counts: chosen by a metric on validation, never on test."""

from __future__ import annotations

import math
from collections.abc import Sequence

from data.errors import InputError
from trainers.checkpoints import TrainState


def judge(state: TrainState, value: float) -> float:
    """Records in `state` whether an evaluation is the best so far.

    Args:
        state: Where the run is; its best value and step, and the evaluations since, are updated.
        value: The monitored metric, larger being better; one that is not finite never wins.

    Returns:
        The value.
    """
    if math.isfinite(value) and value > state.best_value:
        state.best_value, state.best_step = value, state.step
        state.evaluations_since_best = 0
    else:
        state.evaluations_since_best += 1
    return value


def find_monitor(name: str, measured: Sequence[str]) -> str:
    """Returns the name of the metric to choose by.

    Args:
        name: As configured. `ndcg@10/sampled` stands for the frozen candidates, however many.
        measured: What validation measures.

    Raises:
        InputError: Validation measures no such metric.
    """
    if name.endswith("/sampled"):
        name = next((known for known in measured if known.startswith(name)), name)
    if name not in measured:
        raise InputError(
            "trainer.monitor must be a metric that validation measures",
            received=repr(name),
            action=f"Measured: {', '.join(sorted(measured))}",
        )
    return name
