"""The task of a peer program, the timing of its steps, and its result. Free of any framework.

A program is run as `python -m benchmarks.peers.NAME TASK.json` and prints its result, one JSON
object, as its last line. What is timed is end to end: a step includes getting its batch. The first
steps, in which frameworks trace, compile and allocate, are warm-up and not timed.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from data.process_memory import peak_bytes

FIRST_ID = 2  # 0 stands for padding and 1 for what is unknown; neither occurs in training
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
_SHARE_OF_LOSS = 10  # the last tenth of the measured steps


@dataclass(frozen=True)
class Optimizer:
    """`adam`, `adagrad` or `sgd`, and the learning rate, of the dense weights and of the tables."""

    dense: str
    dense_rate: float
    tables: str
    table_rate: float


@dataclass(frozen=True)
class Task:
    """What to train, and how long.

    Attributes:
        arrays: Folder of the `.npy` files.
        kind: Which files there are.
        batch_size: Rows, positives or users of a step.
        warmup_steps: Steps before those that are timed.
        steps: Steps that are timed; of `epoch`, epochs.
        threads: Threads that computations may use.
        seed: Of initial values, order and everything drawn.
        precision: Of computations; weights are float32.
        epoch: Whether whole epochs are timed, after one of warm-up.
        model: Its sizes, by the program's names.
        optimizer: Of the dense weights and of the tables.
    """

    arrays: Path
    kind: Literal["clicks", "interactions", "histories"]
    batch_size: int
    warmup_steps: int
    steps: int
    threads: int
    seed: int
    precision: Literal["float32", "bfloat16"]
    epoch: bool
    model: dict[str, Any]
    optimizer: Optimizer

    @property
    def warmup(self) -> int:
        """Steps, or epochs, before those that are timed."""
        return 1 if self.epoch else self.warmup_steps

    def array(self, name: str) -> np.ndarray:
        """Returns the array of `name`.npy."""
        return np.load(self.arrays / f"{name}.npy")


@dataclass(frozen=True)
class Measured:
    """Seconds and mean loss of each step or epoch that was timed."""

    seconds: Sequence[float]
    losses: Sequence[float]


def read_task(path: str | Path) -> Task:
    """Returns the task of a file, and limits the threads of libraries that have not started any."""
    values = json.loads(Path(path).read_text(encoding="utf-8"))
    known = {name: values[name] for name in (field.name for field in fields(Task))}
    known["arrays"] = Path(known["arrays"]).resolve()
    known["optimizer"] = Optimizer(**known["optimizer"])
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = str(known["threads"])
    return Task(**known)


def measure(task: Task, step: Callable[[], float]) -> Measured:
    """Times calls of `step`, which trains one step or epoch and returns its mean loss."""
    for _ in range(task.warmup):
        step()
    seconds, losses = [], []
    for _ in range(task.steps):
        started = time.perf_counter()
        losses.append(step())
        seconds.append(time.perf_counter() - started)
    return Measured(seconds, losses)


def print_result(
    task: Task, measured: Measured, examples_per_step: int, packages: Sequence[str]
) -> None:
    """Prints the result.

    Args:
        task: The task.
        measured: What was timed.
        examples_per_step: Examples of a step or, of `epoch`, of an epoch.
        packages: Distributions whose versions matter.
    """
    seconds, last = measured.seconds, max(1, len(measured.losses) // _SHARE_OF_LOSS)
    result = {
        "examples_per_second": examples_per_step / statistics.median(seconds),
        "examples_per_second_overall": examples_per_step * len(seconds) / sum(seconds),
        "seconds": list(seconds),
        "loss": statistics.fmean(measured.losses[-last:]),
        "steps_taken": task.warmup + len(seconds),
        "examples_per_step": examples_per_step,
        "peak_bytes": peak_bytes(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
    }
    print(json.dumps(result), flush=True)
