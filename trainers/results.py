"""The final word of a run: test metrics beside popularity's, in `metrics.json`."""

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
from trainers.baselines import Popularity
from trainers.evaluation import Evaluator, Result

METRICS_FILE = "metrics.json"


def final_split(run: TrainedRun) -> str:
    """Returns `test`, or `validation` where the dataset has no test split."""
    return "test" if "test" in run.data.schema.view("histories").splits else "validation"


def final_results(
    run: TrainedRun, timings: dict[str, float], communicator: Communicator
) -> dict[str, Any]:
    """Evaluates the chosen checkpoint and the popularity baseline on the test split.

    Returns:
        The content of `metrics.json`: metrics and popularity by metric name, the best reachable
        scores where the data knows them, protocol cards, timings.
    """
    split = final_split(run)
    popularity = Popularity(run.data, run.config.trainer.fit_on)
    started = time.perf_counter()
    ours = _evaluate(run.model, run, split, communicator)
    seconds = time.perf_counter() - started
    theirs = _evaluate(popularity, run, split, communicator)
    best = run.data.schema.facts.get("best_scores", {}).get(split, {})
    return {
        "step": run.step,
        "metrics": ours.metrics,
        "popularity": theirs.metrics,
        "best_reachable": {k: v for k, v in best.items() if k in ours.metrics},
        "protocol": ours.cards,
        "timings": {**timings, "evaluation_seconds": seconds},
        "machine": f"{platform.machine()}, {platform.system()}, TensorFlow {tf.__version__}",
    }


def _evaluate(scorer: Any, run: TrainedRun, split: str, communicator: Communicator) -> Result:
    config = run.config.evaluation
    return Evaluator(scorer, run.data, split, config, config.protocols, communicator).evaluate()


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
    named = ("metrics", "popularity", "best_reachable", "protocol", "timings")
    merged = {part: {**earlier.get(part, {}), **results[part]} for part in named}
    write_json(model_dir / METRICS_FILE, {**results, **merged})


def results_table(results: dict[str, Any], ks: tuple[int, ...]) -> str:
    """Returns a table for people: the model, popularity and the best reachable."""
    k = 10 if 10 in ks else max(ks)
    names = [
        f"{metric}@{k}/{protocol}" for protocol in results["protocol"] for metric in ("hr", "ndcg")
    ]
    lines = [f"{'metric':<22}{'model':>10}{'popularity':>12}{'best reachable':>16}"]
    for name in names:
        best = results["best_reachable"].get(name)
        shown = f"{best:.4f}" if best is not None else "unknown"
        lines.append(
            f"{name:<22}{results['metrics'][name]:>10.4f}{results['popularity'][name]:>12.4f}"
            f"{shown:>16}"
        )
    users = next(iter(results["protocol"].values()))["users"]
    seconds = results["timings"]["evaluation_seconds"]
    return "\n".join([f"{users:,} users evaluated in {seconds:.1f} s", *lines])
