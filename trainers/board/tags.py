"""Names of the scalars, and a layout of charts that hold several of them.

TensorBoard groups scalars by what stands before the first slash, sorts the groups, and opens the
first two: these hold one chart each of what one looks at first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from tensorboard.plugins.custom_scalar.layout_pb2 import (
    Category,
    Chart,
    Layout,
    MultilineChartContent,
)

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
    base = monitor.partition("/")[0]
    first = {n: value for n, value in metrics.items() if n.partition("/")[0] == base}
    chosen = {f"{QUALITY}/validation_best/{monitor}": best} if math.isfinite(best) else {}
    return {
        **{f"{QUALITY}/validation/{name}": value for name, value in first.items()},
        **chosen,
        **{f"{VALIDATION}/{name}": value for name, value in metrics.items()},
    }


def layout() -> Layout:
    """Returns the charts of the Custom Scalars tab."""
    quality = {
        "Loss and its parts": f"{LOSS}$|{LOSS_PARTS}/",
        "Validation: NDCG": f"{VALIDATION}/ndcg@10/",
        "Validation: hit rate or recall": f"{VALIDATION}/(hr|recall)@10/",
        "Validation: AUC and accuracy": f"{VALIDATION}/(auc|accuracy)$",
        "Validation: logloss": f"{VALIDATION}/(logloss|normalised_entropy)$",
    }
    speed = {
        "Examples per second": f"{EXAMPLES}$",
        "Share of time that is lost": f"{TRAINING}/time_share/|communication/share_of_time$",
    }
    health = {
        "Learning rates": f"{TRAINING}/learning_rate/",
        "Gradient norms": f"{TRAINING}/gradient_norm/",
        "Norm of a row, by table": f"{TABLE_NORM}/",
        "Unknown ids, by feature": f"{UNKNOWN_IDS}/",
        "Loss scale (float16)": f"{TRAINING}/loss_scale/scale$",
    }
    categories = {"Does it learn?": quality, "How fast, and why?": speed, "Is it healthy?": health}
    return Layout(
        category=[
            Category(title=title, chart=[_chart(*chart) for chart in charts.items()])
            for title, charts in categories.items()
        ]
    )


def _chart(title: str, tags: str) -> Chart:
    return Chart(title=title, multiline=MultilineChartContent(tag=[tags]))
