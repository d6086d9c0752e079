"""Small charts as inline SVG, whose colours are those of the page, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

SERIES = 8  # told apart by colour and by marker
MARKERS = "os^DvPX*"
_SIZE = (3.7, 2.5)  # inches, of 72 pixels: the width of a phone, so that text keeps its size there
_LONGEST_NAME = 7
# Drawn in place of the page's colours, which take their place afterwards.
_INK, _LINE = "#010203", "#040506"
_COLOURS = [f"#0708{n:02x}" for n in range(SERIES)]
_VARIABLES = {
    _INK: "var(--soft)",
    _LINE: "var(--line)",
    **{colour: f"var(--series-{n})" for n, colour in enumerate(_COLOURS)},
}


@dataclass(frozen=True)
class Series:
    """Points of one line of the leaderboard.

    Attributes:
        index: Which colour and marker.
        x: Places, (points,).
        y: Values, (points,).
        low: Ends of their intervals, (points,); None for none.
        high: The other ends.
    """

    index: int
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


def curves(series: Sequence[Series], x: str, title: str, diagonal: bool = False) -> str:
    """Draws lines over a number.

    Args:
        series: What to draw.
        x: Label of the axis.
        title: What a screen reader reads.
        diagonal: Whether to draw the line of equal x and y.
    """

    def draw(axes: Axes) -> None:
        if diagonal:
            most = max(max(one.x.max(), one.y.max()) for one in series)
            axes.plot([0, most], [0, most], color=_INK, lw=0.9, ls=(0, (4, 3)))
        for one in series:
            axes.plot(one.x, one.y, lw=1.5, **_style(one))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(x)

    return _draw(draw, title)


def dots(
    series: Sequence[Series],
    groups: Sequence[str],
    x: str,
    title: str,
    level: float | None = None,
) -> str:
    """Draws dots with their intervals over named groups.

    Args:
        series: What to draw; x are the places of the groups.
        groups: Their names.
        x: Label of the axis.
        title: What a screen reader reads.
        level: Where to draw a line to compare with.
    """

    def draw(axes: Axes) -> None:
        if level is not None:
            axes.axhline(level, color=_INK, lw=0.9, ls=(0, (4, 3)))
        for place, one in enumerate(series):
            shifted = one.x + 0.6 * ((place + 0.5) / len(series) - 0.5)
            if one.low is not None and one.high is not None:
                axes.vlines(shifted, one.low, one.high, color=_COLOURS[one.index], lw=1.4)
            axes.plot(shifted, one.y, lw=0, **_style(one))
        axes.set_xticks(range(len(groups)), _wrapped(groups))
        axes.set_xlim(-0.5, len(groups) - 0.5)
        axes.set_ylim(bottom=0)
        axes.grid(False, axis="x")
        axes.set_xlabel(x)

    return _draw(draw, title)


def _wrapped(names: Sequence[str]) -> list[str]:
    """Returns names on two lines each where one is too long for its place."""
    if max(map(len, names)) <= _LONGEST_NAME:
        return list(names)
    return [re.sub(r"([ \N{EN DASH}])", r"\1\n", name) for name in names]


def _style(one: Series) -> dict[str, Any]:
    size = 4.2 if len(one.x) <= 20 else 2.2
    return {
        "color": _COLOURS[one.index],
        "marker": MARKERS[one.index],
        "markersize": size,
        "clip_on": False,
        "zorder": 3,
    }


def _draw(draw: Callable[[Axes], None], title: str) -> str:
    figure = Figure(figsize=_SIZE, layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    # The salt makes ids that no other chart of the page has.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": title, "font.size": 9.5}):
        draw(axes)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_LINE)
        axes.tick_params(which="both", color=_LINE, labelcolor=_INK, labelsize=9.5)
        axes.xaxis.label.set(color=_INK, fontsize=9.5)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.grid(axis="y", color=_LINE, lw=0.7)
        axes.set_axisbelow(True)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return _for_page(text.getvalue(), title)


def _for_page(svg: str, title: str) -> str:
    """Returns the element alone, with the page's colours, of the width that it is given."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1)
