"""The charts of the Custom Scalars tab: a whole run on one screen, several scalars a chart."""

from __future__ import annotations

from tensorboard.plugins.custom_scalar.layout_pb2 import (
    Category,
    Chart,
    Layout,
    MultilineChartContent,
)

from trainers.board.tags import (
    EXAMPLES,
    LOSS,
    LOSS_PARTS,
    OUTSIDE,
    TABLE_NORM,
    TRAINING,
    UNKNOWN_IDS,
    VALIDATION,
    WAITING,
    metric_of,
)

Charts = dict[str, tuple[str, ...]]  # by title, the tags of one chart


def layout(monitor: str, is_scaled: bool, ranks: int) -> Layout:
    """Returns the charts that a run will have values for.

    Args:
        monitor: The metric that chooses the checkpoint; empty where nothing is validated.
        is_scaled: Whether the loss is scaled, as with float16.
        ranks: Ranks of the run.
    """
    metric = metric_of(monitor)
    charts: Charts = {"Training loss and its parts": (LOSS, f"{LOSS_PARTS}/.*")}
    if monitor:
        charts[f"Validation {metric}, by protocol"] = (f"{VALIDATION}/{metric}(/.*)?",)
    charts |= {
        "Examples per second": (EXAMPLES,),
        "Share of time lost: waiting for input, outside of steps": (WAITING, OUTSIDE),
        "Gradient norms": (f"{TRAINING}/gradient_norm/.*",),
        "Learning rates": (f"{TRAINING}/learning_rate/.*",),
        "Norm of a row, by table": (f"{TABLE_NORM}/.*",),
        "Share of unknown ids, by column": (f"{UNKNOWN_IDS}/.*",),
    }
    if is_scaled:
        charts["Loss scale"] = (f"{TRAINING}/loss_scale/scale",)
    categories: dict[str, Charts] = {"Overview": charts}
    if ranks > 1:
        categories["Ranks"] = {
            "Share of time in collectives": ("communication/share_of_time",),
            "Seconds of a step outside of collectives": ("ranks/.*/computing_seconds",),
        }
    return Layout(
        category=[
            Category(title=title, chart=[_chart(*chart) for chart in of.items()])
            for title, of in categories.items()
        ]
    )


def _chart(title: str, tags: tuple[str, ...]) -> Chart:
    # TensorBoard takes each for a regular expression that the tag begins with.
    whole = [f"{tag}$" for tag in tags]
    return Chart(title=title, multiline=MultilineChartContent(tag=whole))
