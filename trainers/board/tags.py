"""Names of the scalars.

TensorBoard groups scalars by what stands before the first slash, sorts the groups, and opens the
first two: these hold one chart each of what one looks at first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

QUALITY, TRAINING = "1_quality", "2_training"
VALIDATION, LOSS_PARTS = "3_validation", "4_loss_parts"
TABLE_NORM, UNKNOWN_IDS = "5_table_norm", "6_unknown_ids"

LOSS = f"{QUALITY}/loss"
EXAMPLES = f"{TRAINING}/examples_per_second"
WAITING, OUTSIDE = (
    f"{TRAINING}/time_share/waiting_for_input",
    f"{TRAINING}/time_share/outside_steps",
)
ALL_TABLES_NORM = f"{TRAINING}/table_norm"
UNKNOWN_SHARE = f"{TRAINING}/unknown_ids"


def of_step(name: str) -> str:
    """Returns the tag of a scalar of a training step: `loss`, `kl`, `gradient_norm/dense`."""
    if name == "loss":
        return LOSS
    return f"{TRAINING}/{name}" if "/" in name else f"{LOSS_PARTS}/{name}"


def of_evaluation(metrics: Mapping[str, float], monitor: str, best: float) -> dict[str, float]:
    """Returns the scalars of an evaluation on validation.

    Args:
        metrics: Value by name, such as `ndcg@10/sampled99`.
        monitor: The metric that chooses the checkpoint, under whatever protocol.
        best: Its best value so far; not finite where there is none.
    """
    first = {n: v for n, v in metrics.items() if metric_of(n) == metric_of(monitor)}
    chosen = {f"{QUALITY}/validation_best/{monitor}": best} if math.isfinite(best) else {}
    return {
        **{f"{QUALITY}/validation/{name}": value for name, value in first.items()},
        **chosen,
        **{f"{VALIDATION}/{name}": value for name, value in metrics.items()},
    }


def metric_of(name: str) -> str:
    """Returns a metric without its protocol: `ndcg@10` of `ndcg@10/sampled99`."""
    return name.partition("/")[0]
