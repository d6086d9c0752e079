"""Which epoch counts: chosen by a metric on validation, never on test."""

from __future__ import annotations

import math
from collections.abc import Mapping

from data.errors import InputError
from trainers.checkpoints import TrainState


def judge(state: TrainState, metrics: Mapping[str, float], monitor: str) -> float:
    """Records in `state` whether an evaluation is the best so far.

    Args:
        state: Where the run is; its best value and step, and the evaluations since, are updated.
        metrics: What validation measured.
        monitor: The metric to choose by, larger being better; one that is not finite never wins.
            `ndcg@10/sampled` stands for the dataset's frozen candidates, however many.

    Returns:
        The metric's value.

    Raises:
        InputError: Validation measures no such metric.
    """
    value = _monitored(metrics, monitor)
    if math.isfinite(value) and value > state.best_value:
        state.best_value, state.best_step = value, state.step
        state.evaluations_since_best = 0
    else:
        state.evaluations_since_best += 1
    return value


def _monitored(metrics: Mapping[str, float], name: str) -> float:
    if name.endswith("/sampled"):
        name = next((known for known in metrics if known.startswith(name)), name)
    if name not in metrics:
        raise InputError(
            "trainer.monitor must be a metric that validation measures",
            received=repr(name),
            action=f"Measured: {', '.join(sorted(metrics))}",
        )
    return metrics[name]
