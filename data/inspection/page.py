"""One page of pictures of what was counted of a dataset, as PNG."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from data.feature import Kind
from data.inspection import panels
from data.inspection.scan import HISTORIES, ROWS, Inspection, ViewCounts
from data.times import time_unit

Panel = Callable[[Axes], None]

_MOST_NUMBERS = 16
_ACROSS, _FEW_ACROSS, _FEW = 4, 3, 6
_PIXELS_PER_INCH = 120
_FOOTNOTE = (
    "Numbers: train is filled, the others are outlined; the outermost bars take the values beyond."
)


def write_page(found: Inspection, path: Path) -> None:
    """Draws the page into a PNG file; one that exists is replaced.

    Raises:
        OSError: The file cannot be written.
    """
    draw_page(found).savefig(path, format="png", dpi=_PIXELS_PER_INCH)


def draw_page(found: Inspection) -> Figure:
    """Returns the page: id frequencies, unknown ids, labels, lengths of lists, numbers."""
    drawn = list(_panels(found))
    across = _FEW_ACROSS if len(drawn) <= _FEW else _ACROSS
    down = -(-len(drawn) // across)
    size = (4.4 * across, 1.0 + 3.3 * down)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.11))
    FigureCanvasAgg(figure)  # draws without a display
    rows = found.views[ROWS].rows
    counts = ", ".join(f"{split} {count:,}" for split, count in rows.items())
    title = f"{found.schema.name}: {sum(rows.values()):,} rows ({counts})"
    figure.suptitle(panels.literal(title), x=0.01, ha="left", fontsize=15, fontweight="bold")
    if found.views[ROWS].numbers_of(Kind.NUMERIC, Kind.WEIGHT):
        figure.supxlabel(_FOOTNOTE, x=0.01, ha="left", fontsize=9, color="#666666")
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes, draw in zip(grid, drawn, strict=False):
        panels.style(axes)
        draw(axes)
    for axes in grid[len(drawn) :]:
        axes.remove()
    return figure


def _panels(found: Inspection) -> Iterator[Panel]:
    rows = found.views[ROWS]
    if rows.ids:
        yield partial(panels.frequencies, view=rows)
        yield partial(panels.unknown, view=rows)
    if rows.numbers_of(Kind.LABEL):
        yield partial(panels.labels, view=rows)
    if rows.times:
        unit = time_unit(found.schema.facts)
        yield partial(panels.labels_by_time, times=rows.times, known_unit=unit)
    histories = found.views.get(HISTORIES, ViewCounts()).lengths
    if "item" in histories:
        yield partial(panels.lengths, by_split=histories["item"], title="Items of a user")
    for ids in rows.ids.values():
        if ids.lengths:
            yield partial(panels.lengths, by_split=ids.lengths, title=f"Values of {ids.name}")
    numbers = rows.numbers_of(Kind.NUMERIC, Kind.WEIGHT)
    for name, number in list(numbers.items())[:_MOST_NUMBERS]:
        yield partial(panels.number, name=name, counted=number)
    if len(numbers) > _MOST_NUMBERS:
        left = f"{len(numbers) - _MOST_NUMBERS} more numbers\nare in the printed report"
        yield partial(panels.only_text, text=left)
