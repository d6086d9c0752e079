"""Checkpoints: weights, optimizer slots and data position; each complete or absent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from configs.runs import BEST_FILE, CHECKPOINTS
from data.atomic import atomic_folder, clear_leftovers, write_json, write_text
from data.errors import InputError
from models.communicator import Communicator
from models.recommender import Recommender
from models.saving import load_weights, save_weights
from trainers.agreement import share_failure, share_text
from trainers.streams import Streams

_STATE_FILE = "state.json"


@dataclass
class TrainState:
    """Where a run is. Every random choice is keyed by the seed and this position.

    Attributes:
        step: Steps taken.
        epoch: Epoch in progress, from 0.
        streams: Where that epoch's readers stand; None before its first step.
        seconds: Time spent in training steps, over all sittings.
        best_value: Best `monitor` so far.
        best_step: Step of the best `monitor`; 0 before the first evaluation.
        evaluations_since_best: Evaluations without a better one.
    """

    step: int = 0
    epoch: int = 0
    streams: Streams | None = None
    seconds: float = 0.0
    best_value: float = float("-inf")
    best_step: int = 0
    evaluations_since_best: int = 0

    def to_json(self) -> str:
        """Returns the state as JSON."""
        # JSON has no infinity; absent means that nothing was evaluated yet.
        values = {k: v for k, v in asdict(self).items() if v != float("-inf")}
        return json.dumps(values, indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> TrainState:
        """Returns what `to_json` told.

        Raises:
            ValueError, TypeError: It did not.
        """
        values = json.loads(text)
        streams = values.pop("streams", None)
        if streams is not None:
            streams = Streams(streams["length"], tuple(streams["positions"]))
        return cls(streams=streams, **values)


class Checkpoints:
    """The checkpoints of one run folder, which all ranks see.

    Every rank calls each method. Rank 0 opens and publishes a checkpoint's folder; in between each
    rank writes the rows that it holds.

    Args:
        model_dir: The run folder.
        keep: Newest checkpoints kept, beside the best.
        communicator: The ranks.
    """

    def __init__(self, model_dir: Path, keep: int, communicator: Communicator) -> None:
        self._model_dir = model_dir
        self._folder = model_dir / CHECKPOINTS
        self._keep = keep
        self._communicator = communicator

    def path(self, step: int) -> Path:
        """Returns the folder of the checkpoint of a step."""
        return self._folder / f"step-{step:09d}"

    def save(self, model: Recommender, state: TrainState) -> None:
        """Writes a checkpoint whole, then removes those no longer kept."""
        with self._opened(self.path(state.step)) as partial:
            save_weights(model, partial)
            if self._communicator.rank == 0:
                write_text(partial / _STATE_FILE, state.to_json())
            self._communicator.barrier()  # all have written before it is published
        self._communicator.barrier()
        if self._communicator.rank == 0:
            self._remove_old(state.best_step)
        self._communicator.checkpointed()

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Path]:
        """Yields the folder that rank 0 publishes as `path` when the block ends."""
        if self._communicator.rank == 0:
            with atomic_folder(path, overwrite=True) as partial:
                share_text(partial.name, self._communicator)
                yield partial
        else:
            yield path.with_name(share_text("", self._communicator))

    def _remove_old(self, best_step: int) -> None:
        kept = {self.path(best_step), *self.all()[-self._keep :]}
        for path in self.all():
            if path not in kept:
                shutil.rmtree(path)

    def all(self) -> list[Path]:
        """Returns the complete checkpoints, the oldest first."""
        return sorted(self._folder.glob("step-*"))

    def newest(self) -> TrainState:
        """Returns the state of the newest checkpoint, that of a new run where there is none.

        Raises:
            InputError: It cannot be read.
        """
        text, error = "", None
        if self._communicator.rank == 0:
            try:
                text = self._newest().to_json()
            except InputError as found:
                error = found
        share_failure(error, self._communicator)
        return TrainState.from_json(share_text(text, self._communicator))

    def _newest(self) -> TrainState:
        self._recover()
        paths = self.all()
        return self._state(paths[-1]) if paths else TrainState()

    def restore(self, model: Recommender, state: TrainState) -> None:
        """Restores the checkpoint of a state into a model prepared for training, if there is one.

        Raises:
            InputError: A checkpoint that cannot be read, or that is another model's.
        """
        error = None
        try:
            if state.step or self.path(0).is_dir():
                load_weights(model, self.path(state.step))
        except InputError as found:
            error = found
        share_failure(error, self._communicator)

    def _recover(self) -> None:
        """Clears what a process left that was killed while it wrote or replaced a checkpoint."""
        for name in {left.name[1:].partition(".")[0] for left in self._folder.glob(".step-*")}:
            clear_leftovers(self._folder / name)

    @staticmethod
    def _state(path: Path) -> TrainState:
        try:
            return TrainState.from_json((path / _STATE_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(
                "A checkpoint must hold a readable state.json",
                received=error,
                where=path,
                action="Delete that folder to go on from the checkpoint before it",
            ) from error

    def mark_best(self, step: int, reason: str) -> None:
        """Names the checkpoint that later stages use."""
        if self._communicator.rank == 0:
            chosen = {"checkpoint": self.path(step).name, "chosen_by": reason}
            write_json(self._model_dir / BEST_FILE, chosen)
