"""Finished runs side by side: joined over seeds, sorted, with what they are measured against."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from configs.results import badness
from data.errors import InputError, nearest
from trainers.finished_runs import FinishedRun

# Shown by default, where measured, in this order; by protocol, less its number of candidates.
_DEFAULTS = {
    "sampled": ("hr@10", "ndcg@10"),
    "popular": ("hr@10", "ndcg@10"),
    "full": ("hr@10", "ndcg@10"),
    "foldin": ("recall@20", "ndcg@100"),
    "click": ("auc", "logloss", "normalised_entropy", "calibration", "accuracy"),
}


@dataclass(frozen=True)
class Spread:
    """Mean, smallest and largest of some runs' values."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Line:
    """One line of the table: runs that differ only in their seed, or a reference.

    Attributes:
        name: Model and recipe, with the settings that tell it from lines of the same name.
        metrics: By metric; None where not every run measured it.
        parameters: Number of parameters; None where unknown, as below.
        train_seconds: Mean training time.
        examples_per_second: Mean training speed; None of what takes no steps.
        seeds: Number of different seeds; 0 of a reference.
        runs: The runs; none of a reference.
    """

    name: str
    metrics: dict[str, Spread | None]
    parameters: int | None = None
    train_seconds: float | None = None
    examples_per_second: float | None = None
    seeds: int = 0
    runs: tuple[FinishedRun, ...] = ()


def choose_metrics(runs: Sequence[FinishedRun], wanted: Sequence[str]) -> list[str]:
    """Returns the metrics to show: those wanted, or else the usual ones of each protocol.

    Raises:
        InputError: A metric that no run measured, or none of the usual ones was.
    """
    measured = list(dict.fromkeys(name for run in runs for name in run.results["metrics"]))
    for name in wanted:
        if name not in measured:
            raise InputError(
                "--metrics must name what a run measured",
                received=repr(name),
                action=nearest(name, measured),
            )
    if wanted:
        return list(wanted)
    protocols = dict.fromkeys(name for run in runs for name in run.results["protocol"])
    usual = [
        metric if name == "click" else f"{metric}/{name}"
        for name in protocols
        for metric in _DEFAULTS[name.rstrip("0123456789")]
    ]
    shown = [name for name in usual if name in measured]
    if not shown:
        raise InputError(
            "A run must have measured one of the usual metrics",
            received=", ".join(measured),
            action="Choose with --metrics",
        )
    return shown


def compare(runs: Sequence[FinishedRun], metrics: Sequence[str]) -> list[Line]:
    """Returns a line for the runs of each setting, the best by the first metric first.

    Equal ones go by the next metric.
    """
    groups: dict[str, list[FinishedRun]] = {}
    for run in runs:
        groups.setdefault(f"{run.name} {run.settings()}", []).append(run)
    lines = [
        _line(label, group, metrics)
        for label, group in zip(_labels([*groups.values()]), groups.values(), strict=True)
    ]
    return sorted(
        lines, key=lambda line: [badness_of(name, line.metrics[name]) for name in metrics]
    )


def references(runs: Sequence[FinishedRun], metrics: Sequence[str]) -> list[Line]:
    """Returns lines for the baselines and, where known, the best reachable scores."""
    groups: dict[tuple[str, str], list[FinishedRun]] = {}
    for run in runs:
        fit_on = "+".join(run.config["trainer"]["fit_on"])
        groups.setdefault((run.results["baseline"]["name"], fit_on), []).append(run)
    lines = []
    for (name, fit_on), group in groups.items():
        values = _spreads([run.results["baseline"]["metrics"] for run in group], metrics)
        where = f" on {fit_on}" if len(groups) > 1 else ""
        lines.append(Line(f"({name}{where})", values))
    reachable = [run.results["best_reachable"] for run in runs if run.results["best_reachable"]]
    if reachable and any(_spreads(reachable, metrics).values()):
        lines.append(Line("(best reachable)", _spreads(reachable, metrics)))
    return lines


def _line(label: str, group: Sequence[FinishedRun], metrics: Sequence[str]) -> Line:
    timings = [run.results["timings"] for run in group]
    return Line(
        label,
        _spreads([run.results["metrics"] for run in group], metrics),
        group[0].results["parameters"],
        _mean([timing.get("train_seconds") for timing in timings]),
        _mean([timing.get("examples_per_second") or None for timing in timings]),
        len({run.config["trainer"]["seed"] for run in group}),
        tuple(group),
    )


def _labels(groups: Sequence[Sequence[FinishedRun]]) -> list[str]:
    """Returns a name for each setting, with what tells it from others of the same name."""
    labels = []
    for group in groups:
        mine = group[0].settings()
        others = [other[0].settings() for other in groups if other[0].name == group[0].name]
        told = [f"{k}={v}" for k, v in mine.items() if any(o.get(k) != v for o in others)]
        labels.append(" ".join([group[0].name, *told]))
    return labels


def _spreads(
    tables: Sequence[Mapping[str, float | None]], metrics: Sequence[str]
) -> dict[str, Spread | None]:
    spreads: dict[str, Spread | None] = {}
    for name in metrics:
        found = [table.get(name) for table in tables]
        mean, known = _mean(found), [value for value in found if value is not None]
        spreads[name] = None if mean is None else Spread(mean, min(known), max(known))
    return spreads


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def badness_of(metric: str, spread: Spread | None) -> float:
    """Returns `badness` of the mean; infinity where unknown."""
    return math.inf if spread is None else badness(metric, spread.mean)
