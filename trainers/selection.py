"""Which epoch counts: chosen by a metric on validation, never on test."""

from __future__ import annotations

import math
from collections.abc import Sequence

from data.errors import InputError
from trainers.train_state import TrainState

LOWER_IS_BETTER = ("logloss", "normalised_entropy")
_AUTO = ("ndcg@10/sampled", "ndcg@10/full", "ndcg@10/foldin", "auc")


def judge(state: TrainState, name: str, value: float) -> None:
    """Records in `state` whether an evaluation is the best so far.

    Args:
        state: Where the run is; its best value and step, and the evaluations since, are updated.
        name: The monitored metric.
        value: Its value; one that is not finite never wins.
    """
    sign = -1.0 if name in LOWER_IS_BETTER else 1.0
    is_first = state.best_step == 0
    if math.isfinite(value) and (is_first or sign * value > sign * state.best_value):
        state.best_value, state.best_step = value, state.step
        state.evaluations_since_best = 0
    else:
        state.evaluations_since_best += 1


def find_monitor(name: str, measured: Sequence[str]) -> str:
    """Returns the name of the metric to choose by.

    Args:
        name: As configured. `ndcg@10/sampled` stands for the frozen candidates, however many;
            `auto` for what suits the task.
        measured: What validation measures.

    Raises:
        InputError: Validation measures no such metric.
    """
    for wanted in _AUTO if name == "auto" else (name,):
        for known in measured:
            if known == wanted or (wanted.endswith("/sampled") and known.startswith(wanted)):
                return known
    raise InputError(
        "trainer.monitor must be a metric that validation measures",
        received=repr(name),
        action=f"Measured: {', '.join(sorted(measured))}",
    )
