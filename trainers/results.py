"""The final word of a run: test metrics beside a baseline's, in `metrics.json`."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

import tensorflow as tf

from configs.results import read_results
from configs.runs import TrainedRun
from data.atomic import write_json
from data.dataset import PreparedDataset
from models.communicator import Communicator
from trainers.baselines import BaseRate, Popularity
from trainers.details import write_details
from trainers.evaluation import Result, evaluated_splits, is_click_task, make_evaluator
from trainers.other_data import OnOtherData
from trainers.result import json_values

_SLICES_SHOWN = 10


def final_split(data: PreparedDataset) -> str:
    """Returns `test`, or `validation` where the dataset has no test split."""
    return "test" if "test" in evaluated_splits(data) else "validation"


def final_results(
    run: TrainedRun,
    timings: dict[str, float],
    communicator: Communicator,
    details: Path | None = None,
    other: PreparedDataset | None = None,
) -> dict[str, Any]:
    """Evaluates the chosen checkpoint and the baseline on the test split.

    Args:
        run: The trained run.
        timings: Of its training.
        communicator: Other processes, each of which evaluates its share.
        details: Folder to write what was found of each user or row into, on rank 0; None for none.
        other: A dataset to evaluate on in place of the run's own; see `OnOtherData`.

    Returns:
        The content of `metrics.json`: metrics and the baseline's (popularity, or the base rate of
        a click task) by metric name, the best reachable scores where the data knows them,
        protocol cards, slices, number of parameters, timings. A metric that is undefined, such as
        the AUC of rows that are all clicks, is None. Of another dataset, also which one, and how
        many of its ids the run does not know.
    """
    data = run.data if other is None else other
    scorer = run.model if other is None else OnOtherData(run, other)
    split = final_split(data)
    kind = BaseRate if is_click_task(data) else Popularity
    baseline = kind(data, run.config.trainer.fit_on)

    def evaluate(scored: Any, detailed: bool) -> Result:
        config = run.config.evaluation
        return make_evaluator(
            scored, data, split, config, config.protocols, communicator, detailed
        ).evaluate()

    started = time.perf_counter()
    ours = evaluate(scorer, details is not None)
    if details and ours.details and communicator.rank == 0:
        write_details(details, ours.details, data, run.config.trainer.fit_on)
    seconds = time.perf_counter() - started
    theirs = evaluate(baseline, False)
    best = data.schema.facts.get("best_scores", {}).get(split, {})
    return {
        **(_of_other(data, scorer, split) if isinstance(scorer, OnOtherData) else {}),
        "step": run.step,
        "metrics": json_values(ours.metrics),
        "baseline": {"name": kind.name, "metrics": json_values(theirs.metrics)},
        "best_reachable": {k: v for k, v in best.items() if k in ours.metrics},
        "protocol": ours.cards,
        "slices": json_values(ours.slices),
        "parameters": run.model.parameter_count(),
        "timings": {**timings, "evaluation_seconds": seconds},
        "machine": f"{platform.machine()}, {platform.system()}, TensorFlow {tf.__version__}",
    }


def _of_other(data: PreparedDataset, scorer: OnOtherData, split: str) -> dict[str, Any]:
    named = {"folder": str(data.folder.resolve()), "schema_sha256": data.schema_sha256}
    of_ranking = {} if is_click_task(data) else {"trained_targets": scorer.trained_targets(split)}
    return {"evaluated_on": named, "unknown_ids": scorer.unknown, **of_ranking}


def write_results(path: Path, results: dict[str, Any]) -> None:
    """Writes a file of results atomically; `metrics.json` marks the run as finished.

    What an earlier evaluation measured under other names is kept.
    """
    earlier = read_results(path)
    named = ("metrics", "best_reachable", "protocol", "slices", "timings")
    merged = {part: {**earlier.get(part, {}), **results[part]} for part in named}
    known = earlier.get("baseline", {}).get("metrics", {})
    baseline = {**results["baseline"], "metrics": {**known, **results["baseline"]["metrics"]}}
    write_json(path, {**results, **merged, "baseline": baseline})


def results_table(results: dict[str, Any], ks: tuple[int, ...]) -> str:
    """Returns a table for people: the model, the baseline and the best reachable."""
    k = 10 if 10 in ks else max(ks)
    protocols = list(results["protocol"])
    if protocols == ["click"]:
        names, rows = list(results["metrics"]), f"{results['protocol']['click']['rows']:,} rows"
    else:
        wanted = ("recall", "ndcg") if "foldin" in protocols else ("hr", "ndcg")
        names = [f"{metric}@{k}/{protocol}" for protocol in protocols for metric in wanted]
        rows = f"{results['protocol'][protocols[0]]['users']:,} users"
    baseline = results["baseline"]
    lines = [f"{'metric':<22}{'model':>10}{baseline['name']:>12}{'best reachable':>16}"]
    for name in names:
        ours, theirs = (_shown(of["metrics"][name]) for of in (results, baseline))
        best = _shown(results["best_reachable"].get(name), "unknown")
        lines.append(f"{name:<22}{ours:>10}{theirs:>12}{best:>16}")
    seconds = results["timings"]["evaluation_seconds"]
    return "\n".join([f"{rows} evaluated in {seconds:.1f} s", *lines, *_slice_lines(results)])


def _shown(value: float | None, otherwise: str = "undefined") -> str:
    return otherwise if value is None else f"{value:.4f}"


def _slice_lines(results: dict[str, Any]) -> list[str]:
    """Returns lines for the most frequent values of each sliced feature."""
    lines = []
    for feature, table in results["slices"].items():
        lines.append(f"{feature:<22}{'rows':>10}{'auc':>12}{'logloss':>10}{'calibration':>13}")
        for row in table[:_SLICES_SHOWN]:
            lines.append(
                f"  {row['value'][:20]:<20}{row['rows']:>10,}{_shown(row['auc']):>12}"
                f"{_shown(row['logloss']):>10}{_shown(row['calibration']):>13}"
            )
    return lines
