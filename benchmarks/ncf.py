"""Speed of NCF on a prepared dataset: training, its input pipeline alone, and full ranking.

  python -m benchmarks.ncf --data_dir=DATA
  python -m benchmarks.ncf --data_dir=DATA --set=trainer.mixed_precision=bfloat16

Training goes through `trainers.run` in processes of its own, so that what is timed is what users
get: reading, shuffling, negatives, steps and tracing, but not evaluation. The model is NeuMF with
GMF 64, MLP embedding 64 and hidden layers 128-64-32, the size that others publish.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from absl import app, flags

import models  # noqa: F401  Keras 2 must be chosen before tf.keras is touched.
from configs.overrides import apply_overrides
from configs.registry import build_model, recipe
from data.dataset import PreparedDataset
from data.pipeline import make_dataset

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Prepared dataset.", required=True)
_REPEATS = flags.DEFINE_integer("repeats", 3, "Runs of each measurement.", lower_bound=1)
_EPOCHS = flags.DEFINE_integer("epochs", 2, "Epochs of each training run.", lower_bound=1)
_SET = flags.DEFINE_multi_string("set", [], "As of trainers.run.")

_NEUMF = (
    "model.variant=neumf",
    "model.gmf_dim=64",
    "model.mlp_dim=64",
    "model.hidden=128,64,32",
    "model.negatives=4",
    "trainer.batch_size=4096",
    "trainer.xla=true",
)
# Only what is timed is measured: one evaluation, after the last epoch.
_ONE_EVALUATION = ("trainer.fit_on=train,validation", "trainer.patience=0")


def train(folder: Path, settings: Iterable[str], variant: str) -> dict[str, Any]:
    """Trains through the command. Returns the run's `metrics.json`."""
    settings = (*settings, *_ONE_EVALUATION, f"trainer.epochs={_EPOCHS.value}")
    arguments = [
        *("--model=ncf", f"--data_dir={_DATA_DIR.value}", f"--model_dir={folder}"),
        *(f"--set={assignment}" for assignment in settings),
        *(f"--set=model.variant={variant}", "--set=evaluation.protocols=full"),
    ]
    command = [sys.executable, "-m", "trainers.run", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return cast(dict[str, Any], json.loads((folder / "metrics.json").read_text()))


def pipeline_speed(settings: Iterable[str]) -> float:
    """Returns the examples a second of one epoch of batches, nothing done with them."""
    config = apply_overrides(recipe("ncf", "default"), settings)
    data = PreparedDataset(_DATA_DIR.value)
    model = build_model(config, data)
    splits = ("train", "validation")
    reading = model.reading(splits, config.trainer.batch_size)
    started = time.perf_counter()
    batches = sum(1 for _ in make_dataset(data, reading, model.transforms(data, splits, True)))
    rows = batches * config.trainer.batch_size * model.examples_per_row
    return rows / (time.perf_counter() - started)


def main(argv: list[str]) -> None:
    """Measures and prints medians with their range."""
    del argv
    settings = (*_NEUMF, *_SET.value)
    speeds: dict[str, list[float]] = {"input pipeline alone, M examples/s": []}
    for _ in range(_REPEATS.value):
        speeds["input pipeline alone, M examples/s"].append(pipeline_speed(settings) / 1e6)
        for variant in ("neumf", "mf"):
            with tempfile.TemporaryDirectory() as folder:
                timings = train(Path(folder), settings, variant)["timings"]
            training, ranking = f"training {variant}, M examples/s", f"full ranking {variant}, s"
            speeds.setdefault(training, []).append(timings["examples_per_second"] / 1e6)
            speeds.setdefault(ranking, []).append(timings["evaluation_seconds"])
    print(f"{platform.machine()}, median of {_REPEATS.value} (lowest to highest)")
    for name, values in speeds.items():
        middle = statistics.median(values)
        print(f"{name:<38}{middle:8.2f}  ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    app.run(main)
