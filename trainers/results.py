"""The final word of a run: test metrics beside a baseline's, in `metrics.json`."""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path
from typing import Any, cast

import tensorflow as tf

from configs.runs import TrainedRun
from data.atomic import write_json
from models.communicator import Communicator
from trainers.baselines import BaseRate, Popularity
from trainers.details import write_details
from trainers.evaluation import Result, evaluated_splits, is_click_task, make_evaluator
from trainers.result import json_values

METRICS_FILE = "metrics.json"
_SLICES_SHOWN = 10


def final_split(run: TrainedRun) -> str:
    """Returns `test`, or `validation` where the dataset has no test split."""
    return "test" if "test" in evaluated_splits(run.data) else "validation"


def final_results(
    run: TrainedRun,
    timings: dict[str, float],
    communicator: Communicator,
    details: Path | None = None,
) -> dict[str, Any]:
    """Evaluates the chosen checkpoint and the baseline on the test split.

    Args:
        run: What to evaluate.
        timings: What was measured of its training; nothing where it is only evaluated.
        communicator: Other processes, each of which evaluates its share.
        details: Folder to write what was found of each user or row into, on rank 0; None for none.

    Returns:
        The content of `metrics.json`: metrics and the baseline's (popularity, or the base rate of
        a click task) by metric name, the best reachable scores where the data knows them,
        protocol cards, slices, number of parameters, timings. A metric that is undefined, such as
        the AUC of rows that are all clicks, is None.
    """
    split = final_split(run)
    kind = BaseRate if is_click_task(run.data) else Popularity
    baseline = kind(run.data, run.config.trainer.fit_on)
    started = time.perf_counter()
    ours = _evaluate(run.model, run, split, communicator, details is not None)
    if details and ours.details and communicator.rank == 0:
        write_details(details, ours.details, run.data, run.config.trainer.fit_on)
    seconds = time.perf_counter() - started
    theirs = _evaluate(baseline, run, split, communicator, False)
    best = run.data.schema.facts.get("best_scores", {}).get(split, {})
    return {
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


def _evaluate(
    scorer: Any, run: TrainedRun, split: str, communicator: Communicator, detailed: bool
) -> Result:
    config = run.config.evaluation
    evaluator = make_evaluator(
        scorer, run.data, split, config, config.protocols, communicator, detailed
    )
    return evaluator.evaluate()


def read_results(model_dir: Path) -> dict[str, Any]:
    """Returns the content of `metrics.json`; nothing where the run is not finished."""
    path = model_dir / METRICS_FILE
    if not path.is_file():
        return {}
    return cast(dict[str, Any], json.loads(path.read_text(encoding="utf-8")))


def write_results(model_dir: Path, results: dict[str, Any]) -> None:
    """Writes `metrics.json` atomically; its presence marks the run as finished.

    What an earlier evaluation measured under other names is kept.
    """
    earlier = read_results(model_dir)
    named = ("metrics", "best_reachable", "protocol", "slices", "timings")
    merged = {part: {**earlier.get(part, {}), **results[part]} for part in named}
    known = earlier.get("baseline", {}).get("metrics", {})
    baseline = {**results["baseline"], "metrics": {**known, **results["baseline"]["metrics"]}}
    write_json(model_dir / METRICS_FILE, {**results, **merged, "baseline": baseline})


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
