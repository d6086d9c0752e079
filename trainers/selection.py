"""Which epoch counts: chosen by a metric on validation, never on test."""

from __future__ import annotations

import math
from collections.abc import Sequence

from configs.results import badness
from data.errors import InputError
from trainers.train_state import TrainState

_AUTO = ("ndcg@10/sampled", "ndcg@10/full", "ndcg@10/foldin", "auc")


def judge(state: TrainState, name: str, value: float) -> None:
    """Records in `state` whether an evaluation is the best so far.

    Args:
        state: Where the run is; its best value and step, and the evaluations since, are updated.
        name: The monitored metric.
        value: Its value; one that is not finite never wins.
    """
    is_first = state.best_step == 0
    is_better = is_first or badness(name, value) < badness(name, state.best_value)
    if math.isfinite(value) and is_better:
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
