"""Finished runs side by side: joined over seeds, sorted, with what they are measured against."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.differences import from_recipe, short_name, short_settings
from configs.results import badness
from data.errors import InputError, nearest
from trainers.board.settings import NOT_COMPARED
from trainers.finished_runs import FinishedRun

# Shown by default, where measured, in this order; by protocol, less its number of candidates. All
# items stand before samples of them, which may order models otherwise (Krichene & Rendle, KDD 2020,
# "On Sampled Metrics for Item Recommendation"); and NDCG, which heeds the place in the list, before
# the share of lists with a hit.
_DEFAULTS = {
    "full": ("ndcg@10", "hr@10"),
    "foldin": ("ndcg@100", "recall@20"),
    "sampled": ("ndcg@10", "hr@10"),
    "popular": ("ndcg@10", "hr@10"),
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
        name: The run folder, with as many of its parents as tell it from others.
        settings: Model, recipe, and what was set otherwise than the recipe; empty of a reference.
        metrics: By metric; None where not every run measured it.
        parameters: Number of parameters; None where unknown, as below.
        train_seconds: Mean training time.
        examples_per_second: Mean training speed; None of what takes no steps.
        seeds: Number of different seeds; 0 of a reference.
        runs: The runs; none of a reference.
    """

    name: str
    settings: str
    metrics: dict[str, Spread | None]
    parameters: int | None = None
    train_seconds: float | None = None
    examples_per_second: float | None = None
    seeds: int = 0
    runs: tuple[FinishedRun, ...] = ()


def choose_metrics(runs: Sequence[FinishedRun], wanted: Sequence[str]) -> list[str]:
    """Returns the metrics to show, the one that decides first.

    Those wanted, in their order; or else the usual ones of each protocol, those that every run has
    measured first.

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
        for kind, metrics in _DEFAULTS.items()
        for name in protocols
        for metric in metrics
        if name.rstrip("0123456789") == kind
    ]
    shown = [name for name in usual if name in measured]
    shown.sort(key=lambda name: any(name not in run.results["metrics"] for run in runs))
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
    names = short_paths([run.folder for run in runs])
    data = {run.config["data"]["schema_sha256"] for run in runs}
    lines = [_line(group, metrics, names, len(data) > 1) for group in groups.values()]
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
        lines.append(Line(f"({name}{where})", "", values))
    reachable = [run.results["best_reachable"] for run in runs if run.results["best_reachable"]]
    if reachable and any(_spreads(reachable, metrics).values()):
        lines.append(Line("(best reachable)", "", _spreads(reachable, metrics)))
    return lines


def _line(
    group: Sequence[FinishedRun],
    metrics: Sequence[str],
    names: Mapping[Path, str],
    shows_data: bool,
) -> Line:
    first, others = group[0], len(group) - 1
    timings = [run.results["timings"] for run in group]
    return Line(
        names[first.folder] + f" and {others} more" * bool(others),
        _settings(first, shows_data),
        _spreads([run.results["metrics"] for run in group], metrics),
        first.results["parameters"],
        _mean([timing.get("train_seconds") for timing in timings]),
        _mean([timing.get("examples_per_second") or None for timing in timings]),
        len({run.config["trainer"]["seed"] for run in group}),
        tuple(group),
    )


def _settings(run: FinishedRun, shows_data: bool) -> str:
    """Returns model and recipe of a run, with what differs from the recipe."""
    changed = {
        path: value
        for path, value in from_recipe(run.config, ("model", "trainer")).items()
        if short_name(path) not in ("seed", *NOT_COMPARED)
    }
    data = [f"data={Path(run.config['data']['folder']).name}"] if shows_data else []
    return " ".join([run.name, *data, *filter(None, [short_settings(changed)])])


def short_paths(paths: Sequence[Path]) -> dict[Path, str]:
    """Returns each path's last part, with as many parents as tell it from the others."""
    parts = {path: path.resolve().parts for path in paths}

    def shortest(path: Path) -> str:
        mine = parts[path]
        for length in range(1, len(mine) + 1):
            if sum(other[-length:] == mine[-length:] for other in parts.values()) == 1:
                break
        return str(Path(*mine[-length:]))

    return {path: shortest(path) for path in paths}


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
