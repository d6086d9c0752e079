"""Real runs to spoil: prepared data, an undisturbed run, and one stopped in the middle."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from configs.results import METRICS_FILE
from configs.runs import BEST_FILE, CHECKPOINTS
from data.errors import InputError
from trainers.bad_days.commands import Done, Running, start
from trainers.bad_days.outcome import check

_USERS, _ITEMS, _RATINGS = 400, 200, 12_000
_EPOCHS = 2


@dataclass
class Workshop:
    """A folder in which runs are made and spoilt.

    Attributes:
        folder: The folder, empty at first.
        kills: How often a training is killed.
        seed: Of all random choices.
        say: Told what is being done.
    """

    folder: Path
    kills: int
    seed: int
    say: Callable[[str], None]
    _whole: dict[int, Path] = field(default_factory=dict)
    _started: list[Running] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Seeds the random choices."""
        self.random = random.Random(self.seed)

    def start(self, command: list[str], **options: Any) -> Running:
        """Starts a command of the project as its users do."""
        log = self.folder / "logs" / f"{len(self._started) + 1:03d}.txt"
        log.parent.mkdir(exist_ok=True)
        self._started.append(start(command, log, options))
        return self._started[-1]

    def end_all(self) -> None:
        """Ends what is still at work, as after a fault that was not survived."""
        for running in self._started:
            running.end()

    def run(self, command: list[str], **options: Any) -> Done:
        """Runs a command of the project to its end."""
        return self.start(command, **options).wait()

    def preparation(self, out: Path, seed: int = 1, *more: str) -> list[str]:
        """Returns the command that prepares the data."""
        world = [f"--synthetic_{name}={number}" for name, number in _WORLD.items()]
        module = [sys.executable, "-m", "data.prepare", "--dataset=synthetic"]
        return [*module, *world, f"--seed={seed}", f"--out={out}", *more]

    def training(
        self, model_dir: Path, *, data: Path | None = None, epochs: int = _EPOCHS
    ) -> list[str]:
        """Returns the command that trains, with a checkpoint every 10 steps."""
        return [sys.executable, "-m", "trainers.run", *self.flags(model_dir, data, epochs)]

    def flags(self, model_dir: Path, data: Path | None = None, epochs: int = _EPOCHS) -> list[str]:
        """Returns the flags of the training."""
        given = ["--model=ncf", "--recipe=tiny", "--batch_size=64", f"--epochs={epochs}"]
        given += ["checkpoint_steps=10", "steps_per_call=5", "patience=0"]
        given = [flag if flag[0] == "-" else f"--set=trainer.{flag}" for flag in given]
        protocols = [f"--set=evaluation.{n}=sampled" for n in ("protocols", "validation_protocols")]
        return [*given, *protocols, f"--data_dir={data or self.data}", f"--model_dir={model_dir}"]

    @cached_property
    def data(self) -> Path:
        """A prepared dataset."""
        self.say("preparing data")
        self.run(self.preparation(self.folder / "data")).succeeded()
        return self.folder / "data"

    @cached_property
    def other_data(self) -> Path:
        """Another one of the same shape."""
        self.run(self.preparation(self.folder / "other-data", seed=2)).succeeded()
        return self.folder / "other-data"

    def undisturbed(self, epochs: int = _EPOCHS) -> Path:
        """Returns a finished run that nothing disturbed."""
        if epochs not in self._whole:
            self.say(f"training {epochs} epochs undisturbed, to compare with")
            folder = self.folder / f"undisturbed-{epochs}"
            self.run(self.training(folder, epochs=epochs)).succeeded()
            self._whole[epochs] = folder
        return self._whole[epochs]

    @cached_property
    def _stopped(self) -> Path:
        self.say("training, and killing it in the middle")
        folder = self.folder / "stopped"
        running = self.start(self.training(folder))
        check(running.until(lambda: newest(folder) >= 100), f"ended early: {running.log}")
        running.kill()
        return folder

    def stopped(self, name: str) -> Path:
        """Returns a copy of a run that was killed in the middle, under a name of its own."""
        return self.copy(self._stopped, self.folder / name)

    def finished(self, name: str) -> Path:
        """Returns a copy of a finished run."""
        return self.copy(self.undisturbed(), self.folder / name)

    @staticmethod
    def copy(folder: Path, to: Path) -> Path:
        """Copies a folder."""
        shutil.copytree(folder, to, dirs_exist_ok=True)
        return to

    def goes_on(self, model_dir: Path, data: Path | None = None) -> Done:
        """Gives the training command again, which must give what an undisturbed run gave."""
        done = self.run(self.training(model_dir, data=data)).succeeded()
        check_equal(model_dir, self.undisturbed())
        return done


_WORLD = {"users": _USERS, "items": _ITEMS, "ratings": _RATINGS}


def empty_folder(path: str | None) -> Path:
    """Returns the folder for a workshop, made where it is absent.

    Raises:
        InputError: None is given, or something is there.
    """
    if not path:
        raise InputError("--work_dir must be given", action="See --help")
    folder = Path(path).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            "--work_dir must be a new or an empty folder", received=path, action="Choose another"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def checkpoints(model_dir: Path) -> list[Path]:
    """Returns the published checkpoints of a run, the oldest first."""
    return sorted((model_dir / CHECKPOINTS).glob("step-*"))


def newest(model_dir: Path) -> int:
    """Returns the step of a run's newest checkpoint; 0 where it has none."""
    return max((int(path.name.rpartition("-")[2]) for path in checkpoints(model_dir)), default=0)


def is_finished(model_dir: Path) -> bool:
    """Returns whether a run has written its results."""
    return (model_dir / METRICS_FILE).exists()


def check_equal(found: Path, wanted: Path) -> None:
    """Checks that two runs gave the same, bit for bit.

    Raises:
        UnexpectedError: They differ in a metric, the epoch chosen, or a weight.
    """
    for part in ("step", "metrics", "baseline"):
        ours, theirs = (json.loads((of / METRICS_FILE).read_text())[part] for of in (found, wanted))
        check(ours == theirs, f"'{part}' of {found} differs from {wanted}")
    best = json.loads((wanted / BEST_FILE).read_text())["checkpoint"]
    for name in (BEST_FILE, "metrics.jsonl", *_weights(wanted / CHECKPOINTS / best)):
        other = b""
        with suppress(FileNotFoundError):
            other = (found / name).read_bytes()
        check(other == (wanted / name).read_bytes(), f"{found / name} differs from {wanted}")


def _weights(checkpoint: Path) -> list[str]:
    run = checkpoint.parents[1]
    paths = [path for path in checkpoint.rglob("*") if path.suffix == ".npy"]
    paths += checkpoint.glob("weights.data-*")
    return [str(path.relative_to(run)) for path in paths]
