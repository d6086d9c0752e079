"""For whom and for what a model works: by history, by popularity, and what it recommends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np

from trainers.report_page.catalogue import (
    BUCKETS,
    Exposure,
    exposure,
    history_groups,
    popularity_buckets,
)
from trainers.report_page.charts import Series, dots
from trainers.report_page.evidence import Compared, Evidence
from trainers.report_page.statistics import Interval, mean_interval, share_interval
from trainers.report_page.tables import Cell, Chart, Section, Table, number

_USUAL_K = 10
_NOTHING = Interval(float("nan"), float("nan"), float("nan"))
_BUCKET_NAMES = ["most popular", "2nd", "3rd", "4th", "rarest"]
_OF_BUCKETS = (
    "Items are sorted by training events and parted into five groups that have a fifth of the "
    "events each: few items in the first, most of the catalogue in the last."
)


def by_history(compared: Compared) -> Section:
    """Returns the metrics of users with short and with long histories."""
    text = (
        "The same metrics over users with few and with many earlier items, in groups of about "
        "equal size; lines are 95% confidence intervals. A model that needs long histories falls "
        "off to the left."
    )
    charts: list[Chart] = []
    folded: list[Table] = []
    for metric in compared.metrics:
        found: list[tuple[int, Evidence, list[Interval]]] = []
        names: list[str] = []
        for place, evidence in enumerate(compared.lines):
            values, history = evidence.values(metric), evidence.history
            if values is None or history is None:
                continue
            groups, names = history_groups(history)
            by_group = [mean_interval(values[groups == g]) for g in range(len(names))]
            found.append((place, evidence, by_group))
        _add(charts, folded, metric, found, names, "items in the user's history", compared)
    return Section("history", "By length of history", text, charts, folded=folded)


def by_popularity(compared: Compared) -> Section:
    """Returns the share of held-out items that were found, by their popularity."""
    text = (
        f"Which held-out items were found in the list. {_OF_BUCKETS} Lines are 95% confidence "
        "intervals (Wilson). A model that only finds what is popular falls off to the right."
    )
    charts: list[Chart] = []
    folded: list[Table] = []
    for column in _of_usual_k(compared, "hits"):
        found = []
        for place, evidence in enumerate(compared.lines):
            hits, events, targets = map(evidence.of_items, (column, "events", "targets"))
            if hits is None or events is None or targets is None:
                continue
            buckets = popularity_buckets(events)
            of, got = (np.bincount(buckets, w, minlength=BUCKETS) for w in (targets, hits))
            shares = [share_interval(h, t) if t else _NOTHING for h, t in zip(got, of, strict=True)]
            found.append((place, evidence, shares))
        title = f"found in {_lists(column)}"
        _add(charts, folded, title, found, _BUCKET_NAMES, "popularity of the item", compared)
    return Section("popularity", "By popularity of the item", text, charts, folded=folded)


def _add(
    charts: list[Chart],
    folded: list[Table],
    title: str,
    found: Sequence[tuple[int, Evidence, Sequence[Interval]]],
    names: Sequence[str],
    axis: str,
    compared: Compared,
) -> None:
    """Adds a chart and its table, where there is something to draw."""
    if not found:
        return
    places = np.arange(len(names), dtype=float)
    series = [
        Series(place, places, *(np.array(part) for part in zip(*map(astuple, of), strict=True)))
        for place, _, of in found
        if place < len(compared.drawn)
    ]
    charts.append(Chart(title, dots(series, names, axis, f"{title} by {axis}")))
    rows = [
        [Cell(evidence.line.name, series=place)]
        + [
            Cell(number(i.mean, ".4f"), f"{number(i.low, '.4f')} to {number(i.high, '.4f')}")
            for i in of
        ]
        for place, evidence, of in found
    ]
    folded.append(Table(["run", *names], rows, f"{title}, by {axis}"))


def recommended(compared: Compared) -> Section:
    """Returns coverage and popularity bias of what is recommended."""
    text = (
        f"What the lists hold, whether right or wrong. Coverage: share of all items that somebody "
        "is shown. Gini: 0 if all items are shown equally often, near 1 if few take all places. "
        "Mean popularity: training events of a shown item. Novelty: how many bits of surprise it "
        f"is that a training event is with the item. {_OF_BUCKETS} On the dashed line, a group is "
        "recommended as often as it is consumed."
    )
    charts, tables = [], []
    for column in _of_usual_k(compared, "recommended"):
        series, rows = [], []
        for place, evidence in enumerate(compared.lines):
            of_runs = _exposures(evidence, column)
            if not of_runs:
                continue
            shares = np.mean([one.shares for one in of_runs], axis=0)
            if place < len(compared.drawn):
                series.append(Series(place, np.arange(BUCKETS, dtype=float), shares))
            rows.append([Cell(evidence.line.name, series=place), *_measures(of_runs)])
        title = _lists(column)
        axis = "popularity of the item"
        drawn = dots(series, _BUCKET_NAMES, axis, f"share of {title} by {axis}", 1 / BUCKETS)
        charts.append(Chart(f"share of the {title}", drawn))
        head = ["run", "coverage", "Gini", "mean popularity", "novelty"]
        tables.append(Table(head, rows, title))
    return Section("coverage", "Coverage and popularity bias", text, charts, tables)


def _lists(column: str) -> str:
    """Returns `lists of 10, full` for `hits@10/full`."""
    k, _, protocol = column.partition("@")[2].partition("/")
    return f"lists of {k}, {protocol}"


def _exposures(evidence: Evidence, column: str) -> list[Exposure]:
    events = evidence.of_items("events")
    if events is None:
        return []
    return [exposure(counts, events) for counts in evidence.each_of_items(column)]


def _measures(of_runs: Sequence[Exposure]) -> list[Cell]:
    forms = {"coverage": ".1%", "gini": ".3f", "popularity": ",.0f", "novelty": ".2f"}
    return [
        Cell(number(float(np.mean([getattr(one, name) for one in of_runs])), form))
        for name, form in forms.items()
    ]


def _of_usual_k(compared: Compared, kind: str) -> list[str]:
    """Returns the items' columns of one kind, one a protocol, of k = 10 or else the largest k."""
    chosen: dict[str, dict[int, str]] = {}
    for evidence in compared.lines:
        for name in evidence.item_columns():
            if name.startswith(f"{kind}@"):
                k, _, protocol = name.removeprefix(f"{kind}@").partition("/")
                chosen.setdefault(protocol, {})[int(k)] = name
    return [by_k.get(_USUAL_K, by_k[max(by_k)]) for by_k in chosen.values()]
