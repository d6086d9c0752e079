"""Runs the contenders of a suite by turns, each time in a process of its own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.arrays import Sizes, write_arrays
from benchmarks.contenders import Ours, Peer, Suite
from benchmarks.datasets import Clicks, Ratings, ready
from benchmarks.peers.environment import python_of_peers

_WARM_UP = 5  # steps of peers before those that count; ours take as many
_THREADS = len(os.sched_getaffinity(0))


@dataclass
class Result:
    """What the repetitions of a contender gave.

    Attributes:
        speeds: Examples a second of each.
        losses: Mean loss of the last steps of each.
        steps: Steps taken when those were over, warm-up included.
        peak_bytes: Largest memory of the last process.
        command: How it was run.
        details: All figures of the last repetition.
    """

    speeds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    steps: int = 0
    peak_bytes: int = 0
    command: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Examples a second."""
        return statistics.median(self.speeds)

    def add(self, speed: float, found: dict[str, Any], command: list[str]) -> None:
        """Adds a repetition."""
        self.speeds.append(speed)
        self.losses.append(found["loss"])
        self.steps, self.peak_bytes = found["steps_taken"], found["peak_bytes"]
        self.command, self.details = " ".join(["python", *command[1:]]), found


class Contest:
    """The contenders of one suite.

    Args:
        suite: What to compare.
        known: Datasets by name.
        work: Folder for datasets and the peers' environment.
        steps_share: Share of the suite's steps to take.
        own_environment: Whether peers that need an environment of their own take part.
    """

    def __init__(
        self,
        suite: Suite,
        known: dict[str, Clicks | Ratings],
        work: Path,
        steps_share: float = 1.0,
        own_environment: bool = True,
    ) -> None:
        self._suite, self._known, self._work = suite, known, work
        self._share = steps_share
        self._peers = [p for p in suite.peers if own_environment or not p.in_own_environment]
        self.results: dict[str, Result] = {}

    def run(self, repeats: int) -> dict[str, Result]:
        """Runs all contenders in turn, several times. Returns the results by name."""
        contenders: list[Ours | Peer] = [*self._suite.ours, *self._peers]
        for repeat in range(repeats):
            for contender in contenders:
                result = self.results.setdefault(contender.name, Result())
                if isinstance(contender, Ours):
                    self._run_ours(contender, result)
                else:
                    self._run_peer(contender, result)
                print(
                    f"{self._suite.name} {repeat + 1}/{repeats}  {contender.name}: "
                    f"{result.speeds[-1]:,.0f} examples/s, loss {result.losses[-1]:.4f}",
                    file=sys.stderr,
                    flush=True,
                )
        return self.results

    def _data(self, name: str) -> Path:
        return ready(self._known[name], self._work)

    def _steps(self, share: float = 1.0) -> int:
        return max(2, round(self._suite.steps * self._share * share))

    def _run_ours(self, ours: Ours, result: Result) -> None:
        suite = self._suite
        command = [sys.executable, "-m", "trainers.run", "--mode=benchmark"]
        command += [f"--model={suite.model}", f"--data_dir={self._data(ours.data or suite.data)}"]
        command += [f"--batch_size={suite.batch_size}", f"--benchmark_steps={self._ours_steps()}"]
        command += [
            "--noxla",
            *(f"--set={setting}" for setting in (*suite.settings, *ours.settings)),
        ]
        with tempfile.TemporaryDirectory() as folder:
            execute([*command, f"--model_dir={folder}"])
            found = json.loads((Path(folder) / "benchmark.json").read_text(encoding="utf-8"))
        result.add(found["examples_per_second"], found, command)

    def _ours_steps(self) -> int:
        if not self._suite.epoch:
            return self._steps()
        rows = sum(1 for _ in self._offsets()) - 1
        return self._steps() * -(-rows // self._suite.batch_size)

    def _offsets(self) -> Any:
        import numpy as np

        return np.load(self._arrays()[0] / "histories" / "history_offsets.npy")

    def _arrays(self) -> tuple[Path, Sizes]:
        folder = self._data(self._suite.data)
        out = self._work / "arrays" / folder.name
        _, sizes = write_arrays(folder, out)
        return out, sizes

    def _run_peer(self, peer: Peer, result: Result) -> None:
        python = str(python_of_peers(self._work)) if peer.in_own_environment else sys.executable
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(self._task(peer), file)
            file.flush()
            command = [python, "-m", f"benchmarks.{peer.program}", file.name]
            found = json.loads(execute(command).splitlines()[-1])
        result.add(found["examples_per_second_overall"], found, command)

    def _task(self, peer: Peer) -> dict[str, Any]:
        suite = self._suite
        arrays, sizes = self._arrays()
        return {
            "arrays": str(arrays / suite.kind),
            "kind": suite.kind,
            "batch_size": suite.batch_size,
            "warmup_steps": _WARM_UP,
            "steps": self._steps(peer.steps_share),
            "threads": _THREADS,
            "seed": 1,
            "precision": peer.precision,
            "epoch": suite.epoch,
            "model": {
                "prepared": str(self._data(suite.data)),
                **sizes,
                **suite.sizes,
                **peer.model,
            },
            "optimizer": {**suite.optimizer, **peer.optimizer},
        }


def execute(command: list[str]) -> str:
    """Returns the standard output of a command; ends the program with its errors if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout
