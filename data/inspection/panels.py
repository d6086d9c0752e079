"""The pictures of a page, each drawn into axes of its own."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from data.feature import Kind
from data.inspection.histograms import Histogram, LabelsByTime
from data.inspection.scan import IdCounts, NumberCounts, ViewCounts
from data.schema import FIRST_ID
from data.times import date_text, likely_unit

# Okabe and Ito's colours, which people with colour blindness tell apart.
COLOURS = {"train": "#0072B2", "validation": "#E69F00", "test": "#D55E00"}
_OTHERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555", "#999933")
_MOST_CURVES, _MOST_BARS = 8, 14
_CURVE_POINTS = 400
_LONG_LISTS = 20  # from which lengths are drawn on a logarithmic axis
_FEWEST_ROWS = 30  # of a span of time, below which its mean is noise


def literal(text: str) -> str:
    """Returns a text as it is to be drawn: a dollar sign would begin a formula."""
    return text.replace("$", r"\$")


def style(axes: Axes) -> None:
    """Takes away lines that carry nothing."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#888888")
    axes.tick_params(which="both", colors="#444444", labelsize=8)
    axes.grid(True, color="#E6E6E6", linewidth=0.7)
    axes.set_axisbelow(True)


def _title(axes: Axes, title: str, x: str = "", y: str = "") -> None:
    axes.set_title(literal(title), loc="left", fontsize=10.5, fontweight="bold", color="#222222")
    axes.set_xlabel(x, fontsize=8.5, color="#444444")
    axes.set_ylabel(y, fontsize=8.5, color="#444444")


def _legend(axes: Axes, columns: int = 1) -> None:
    axes.legend(fontsize=7.5, frameon=False, handlelength=1.4, ncols=columns)


def _colour(split: str, index: int = 0) -> str:
    return COLOURS.get(split, _OTHERS[index % len(_OTHERS)])


def frequencies(axes: Axes, view: ViewCounts) -> None:
    """Draws rank against count of the features with most ids, both logarithmic."""
    largest = sorted(view.ids.values(), key=lambda ids: -len(ids.counts))
    for index, ids in enumerate(largest[:_MOST_CURVES]):
        counts = np.sort(ids.counts[FIRST_ID:])[::-1]
        counts = counts[counts > 0]
        if not len(counts):
            continue
        ranks = np.unique(np.geomspace(1, len(counts), _CURVE_POINTS).astype(np.int64))
        axes.plot(ranks, counts[ranks - 1], color=_OTHERS[index], lw=1.6, label=literal(ids.name))
    axes.set_xscale("log")
    axes.set_yscale("log")
    more = f", the {_MOST_CURVES} largest" if len(largest) > _MOST_CURVES else ""
    _title(axes, f"Frequency of ids in {largest[0].first}{more}", "rank", "values")
    _legend(axes, columns=2 if len(largest) > 4 else 1)


def unknown(axes: Axes, view: ViewCounts) -> None:
    """Draws the share of id 1 by split, of the features with most of it."""

    def share(ids: IdCounts, split: str) -> float:
        return ids.unknown[split] / max(ids.values[split], 1)

    last = list(view.rows)[-1]
    chosen = sorted(view.ids.values(), key=lambda ids: -share(ids, last))[:_MOST_BARS]
    places = np.arange(len(chosen))
    for index, split in enumerate(view.rows):
        shares = [share(ids, split) for ids in chosen]
        size = 46 - 12 * index  # so that equal shares show as rings
        axes.scatter(shares, places, s=size, color=_colour(split, index), label=split, zorder=3)
    axes.set_yticks(places, [literal(ids.name) for ids in chosen])
    axes.set_ylim(len(chosen) - 0.5, -0.5)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    most = max(share(ids, split) for ids in chosen for split in view.rows)
    axes.set_xlim(-0.03 * max(most, 0.01), max(most, 0.01) * 1.08)
    more = f", the {_MOST_BARS} highest" if len(view.ids) > _MOST_BARS else ""
    _title(axes, f"Out of vocabulary or missing{more}", "share of values with id 1")
    _legend(axes)


def labels(axes: Axes, view: ViewCounts) -> None:
    """Draws the mean of the label in each split."""
    name, number = next(iter(view.numbers_of(Kind.LABEL).items()))
    splits = [split for split in view.rows if number.moments[split].count]
    means = [number.moments[split].mean for split in splits]
    colours = [_colour(split, index) for index, split in enumerate(splits)]
    bars = axes.bar(splits, means, color=colours, width=0.6)
    axes.bar_label(bars, [f"{mean:.4g}" for mean in means], fontsize=9, padding=2)
    axes.margins(y=0.15)
    axes.grid(False, axis="x")
    _title(axes, f"Mean of {name} by split")


def labels_by_time(axes: Axes, times: dict[str, LabelsByTime], known_unit: str) -> None:
    """Draws the mean of the label in spans of time, by split; the unit may not be known."""
    for index, (split, spans) in enumerate(times.items()):
        enough = spans.rows >= min(_FEWEST_ROWS, spans.rows.max())
        means = (spans.labels / spans.rows)[enough]
        middles = (spans.starts + spans.width / 2)[enough]
        size = 3 if len(means) > 1 else 6  # of one span a line would not show
        colour = _colour(split, index)
        axes.plot(middles, means, color=colour, label=split, marker="o", markersize=size, lw=1.3)
    unit = known_unit or likely_unit(float(max(spans.starts[-1] for spans in times.values())))
    if unit:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: date_text(value, unit)))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(axis="x", labelrotation=20)
    guess = f"time, if stored in {unit}" if unit else "time, as stored"
    stored = "time, UTC" if known_unit else guess
    _title(axes, "Mean of the label over time", stored)
    _legend(axes)


def lengths(axes: Axes, by_split: dict[str, np.ndarray], title: str) -> None:
    """Draws what share of lists is at least so long."""
    longest = max(len(lengths) for lengths in by_split.values()) - 1
    for index, (split, lengths) in enumerate(by_split.items()):
        at_least = np.cumsum(lengths[::-1])[::-1] / max(lengths.sum(), 1)
        places = np.arange(len(lengths))
        if longest > _LONG_LISTS and len(lengths) > 1:
            places = np.unique(np.geomspace(1, len(lengths) - 1, _CURVE_POINTS).astype(np.int64))
        marker = "o" if longest <= _LONG_LISTS or len(places) == 1 else ""
        label = f"{split}, longest {len(lengths) - 1:,}"
        colour = _colour(split, index)
        axes.plot(places, at_least[places], color=colour, marker=marker, lw=1.8, label=label)
    if longest > _LONG_LISTS:
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, 1.05)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    _title(axes, title, "length", "lists at least so long")
    _legend(axes)


def number(axes: Axes, name: str, counted: NumberCounts) -> None:
    """Draws the bars of the first split, and the others as outlines."""
    histogram = counted.histogram
    assert histogram is not None
    places = histogram.positions()
    for index, (split, counts) in enumerate(histogram.counts.items()):
        shares = counts / max(counts.sum(), 1)
        colour = _colour(split, index)
        fill = index == 0
        opacity = 0.35 if fill else 1.0
        axes.stairs(shares, places, fill=fill, color=colour, alpha=opacity, lw=1.3, label=split)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    if histogram.of_integers:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    if histogram.logarithmic:
        _logarithmic_ticks(axes, histogram)
    _title(axes, name + (" (logarithmic)" if histogram.logarithmic else ""))
    _legend(axes)


def _logarithmic_ticks(axes: Axes, histogram: Histogram) -> None:
    """Puts round numbers on the axis, as far apart as they stay readable."""
    powers = [10.0**n for n in range(-3, 39)]
    values = np.array([*(-p for p in reversed(powers)), 0.0, *powers])
    low, high = histogram.edges[0], histogram.edges[-1]
    values = values[(values >= low) & (values <= high) & ((np.abs(values) >= 1) | (values == 0))]
    places = np.sign(values) * np.log1p(np.abs(values))
    apart = (histogram.positions()[-1] - histogram.positions()[0]) / 9
    kept: list[int] = []
    for index in range(len(values)):
        if not kept or places[index] - places[kept[-1]] >= apart:
            kept.append(index)
    axes.set_xticks(places[kept], [_short(value) for value in values[kept]])


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) < 1e4 else f"{value:.0e}".replace("e+0", "e")


def only_text(axes: Axes, text: str) -> None:
    """Writes a text in place of a picture."""
    axes.axis("off")
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=11, color="#666666")
