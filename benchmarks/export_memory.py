"""Memory of exporting a large table that several ranks have trained, over the table's own size.

  python -m benchmarks.export_memory --rows=10000000 --dim=128 --ranks=3     # a table of 5 GB

Makes a small table of clicks whose one categorical column is hashed to `--rows`, trains DLRM on it
by launch/local.sh, exports it, and samples the memory of all processes of the export together. The
work folder needs three times the table on disk.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from absl import app, flags

_ROWS = flags.DEFINE_integer("rows", 10_000_000, "Rows of the table.", lower_bound=1000)
_DIM = flags.DEFINE_integer("dim", 128, "Numbers of a row.", lower_bound=1)
_RANKS = flags.DEFINE_integer("ranks", 3, "Processes that train it.", lower_bound=1)
_WORK = flags.DEFINE_string("work", None, "Folder to work in; by default the system's for that.")

_REPOSITORY = Path(__file__).parents[1]
_SECONDS_BETWEEN_SAMPLES = 0.05
_SHAPE = """name: clicks
numeric:
  I1: {median: 10, spread: 1}
categorical:
  C1: {cardinality: 5000}
"""
_SPEC = """name: clicks
split: {method: position, validation: 0.1, test: 0.1}
features:
  label: {kind: label}
  I1: {kind: numeric, transforms: [log1p, normalise]}
  C1: {kind: categorical, hash: ROWS}
"""


def run(command: list[str]) -> None:
    """Runs a command quietly; ends with its words where it fails."""
    done = subprocess.run(
        command, cwd=_REPOSITORY, capture_output=True, text=True, env=_environment()
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHON": sys.executable, "TF_CPP_MIN_LOG_LEVEL": "3"}


def train(work: Path) -> None:
    """Prepares the data and trains a run on it."""
    (work / "shape.yaml").write_text(_SHAPE)
    (work / "spec.yaml").write_text(_SPEC.replace("ROWS", str(_ROWS.value)))
    python = [sys.executable, "-m"]
    source = f"{work}/clicks.parquet"
    run(
        [
            *python,
            "data.synthesize",
            f"--table={work}/shape.yaml",
            "--rows=20000",
            f"--out={source}",
        ]
    )
    spec = f"--spec={work}/spec.yaml"
    run([*python, "data.prepare", spec, f"--source={source}", f"--out={work}/data"])
    settings = {
        "model.dim": _DIM.value,
        "model.bottom": f"16,{_DIM.value}",
        "model.table_optimizer": "sgd",
        "trainer.placement": "sharded",
    }
    sets = [f"--set={name}={value}" for name, value in settings.items()]
    everyday = ["--recipe=tiny", "--epochs=1", "--batch_size=512"]
    folders = [f"--data_dir={work}/data", f"--model_dir={work}/run"]
    run(["launch/local.sh", str(_RANKS.value), "--model=dlrm", *everyday, *folders, *sets])


def peak_of(command: list[str]) -> tuple[int, float]:
    """Runs a command; returns the most memory of all its processes together, and its seconds."""
    started, most = time.perf_counter(), 0
    with subprocess.Popen(command, cwd=_REPOSITORY, env=_environment()) as process:
        parent = psutil.Process(process.pid)
        while process.poll() is None:
            most = max(most, sum(map(_resident, [parent, *_children(parent)])))
            time.sleep(_SECONDS_BETWEEN_SAMPLES)
    if process.returncode:
        sys.exit(process.returncode)
    return most, time.perf_counter() - started


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it has ended since
        return 0


def measure(work: Path) -> None:
    """Trains, exports and prints."""
    train(work)
    folders = [f"--model_dir={work}/run", f"--export_dir={work}/export"]
    peak, seconds = peak_of([sys.executable, "-m", "serving.export", *folders])
    table = _ROWS.value * _DIM.value * 4
    print(
        f"table {table / 2**30:.2f} GiB; the export's processes together at most "
        f"{peak / 2**30:.2f} GiB, {peak / table:.2f} times the table; {seconds:.0f} s"
    )


def main(argv: list[str]) -> None:
    """Measures in a folder that is removed."""
    del argv
    with tempfile.TemporaryDirectory(dir=_WORK.value) as folder:
        measure(Path(folder))


if __name__ == "__main__":
    app.run(main)
