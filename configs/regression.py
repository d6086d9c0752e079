"""The gate of a retrain: a run must not be worse than another on the same data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.results import (
    badness,
    card_difference,
    protocol_of,
    read_results,
    results_file,
    results_on,
)
from configs.runs import read_config_file
from data.errors import InputError, nearest


class RegressionError(Exception):
    """A run is worse than the one before it; the message says in which metrics."""


@dataclass(frozen=True)
class Tolerance:
    """How much worse a metric may be.

    Attributes:
        metric: Its name, as in `metrics.json`.
        worse_by: The most, in the metric's own unit.
    """

    metric: str
    worse_by: float


def parse_tolerance(text: str) -> Tolerance:
    """Returns the tolerance that a text such as `ndcg@10/full:0.005` states.

    Raises:
        InputError: It has another form, or the number is below 0.
    """
    metric, _, number = text.rpartition(":")
    try:
        worse_by = float(number)
    except ValueError:
        worse_by = math.nan
    if not metric or not 0 <= worse_by < math.inf:
        raise InputError(
            "A tolerance must be METRIC:NUMBER with a number of at least 0",
            received=repr(text),
            action="For example ndcg@10/full:0.005",
        )
    return Tolerance(metric, worse_by)


def check_not_worse(run: Path, baseline: Path, tolerances: Sequence[Tolerance]) -> list[str]:
    """Compares a run with an earlier one, both as evaluated on the run's dataset.

    Args:
        run: Folder of a finished run.
        baseline: Folder of the earlier run, evaluated on the dataset of `run`.
        tolerances: The metrics that are compared.

    Returns:
        A line for each metric, for people.

    Raises:
        InputError: Results are missing, or cannot be compared.
        RegressionError: A metric is worse by more than its tolerance.
    """
    ours, theirs = read_results(results_file(run)), _of_baseline(run, baseline)
    if not ours:
        raise InputError(
            "The run must have been evaluated",
            received=f"no {results_file(run).name}",
            where=run,
            action=f"python -m trainers.run --mode=evaluate --model_dir={run}",
        )
    lines, worse = [], []
    for tolerance in tolerances:
        _check_cards(tolerance.metric, [run, baseline], [ours, theirs])
        values = [
            _value(tolerance.metric, folder, results)
            for folder, results in ((run, ours), (baseline, theirs))
        ]
        lost = badness(tolerance.metric, values[0]) - badness(tolerance.metric, values[1])
        line = f"{tolerance.metric} {values[0]:.6g}, of {baseline} {values[1]:.6g}"
        if lost > tolerance.worse_by:
            worse.append(f"{line}: worse by {lost:.6g}, at most {tolerance.worse_by:g} allowed")
        lines.append(line)
    if worse:
        raise RegressionError("; ".join(worse))
    return lines


def _of_baseline(run: Path, baseline: Path) -> dict[str, Any]:
    data, own = (read_config_file(folder)["data"] for folder in (run, baseline))
    path, results = results_on(baseline, own["schema_sha256"], data["schema_sha256"])
    if not results:
        raise InputError(
            "The baseline must have been evaluated on the dataset of the run",
            received=f"no {path.name} of it",
            where=baseline,
            action=f"python -m trainers.run --mode=evaluate --model_dir={baseline} "
            f"--data_dir={data['folder']}",
        )
    return results


def _check_cards(metric: str, folders: Sequence[Path], results: Sequence[dict[str, Any]]) -> None:
    name = protocol_of(metric)
    cards = [each["protocol"].get(name, {}) for each in results]
    field = card_difference(*cards)
    if field is not None:
        found = zip(folders, cards, strict=True)
        raise InputError(
            "Only runs that were evaluated in the same way can be compared",
            received=" and ".join(f"{card.get(field)!r} in {folder}" for folder, card in found),
            where=f"protocol.{name}.{field} of their results",
            action="Evaluate both again on one prepared dataset",
        )


def _value(metric: str, folder: Path, results: dict[str, Any]) -> float:
    measured = results["metrics"]
    if measured.get(metric) is None:
        raise InputError(
            "A metric to compare must have been measured, and be defined",
            received=f"{metric!r} in {folder}",
            action=nearest(metric, measured),
        )
    return float(measured[metric])
