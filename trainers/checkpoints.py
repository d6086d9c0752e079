"""Checkpoints: weights, optimizer slots and data position; each complete or absent."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from configs.runs import BEST_FILE, CHECKPOINTS
from data.atomic import atomic_folder, clear_leftovers, write_json
from data.errors import InputError
from models.recommender import Recommender
from models.saving import load_weights, save_weights

_STATE_FILE = "state.json"


@dataclass
class TrainState:
    """Where a run is. Every random choice is keyed by the seed and this position.

    Attributes:
        step: Steps taken.
        epoch: Epoch in progress, from 0.
        batch: Batches of that epoch already taken.
        seconds: Time spent in training steps, over all sittings.
        best_value: Best `monitor` so far.
        best_step: Step of the best `monitor`; 0 before the first evaluation.
        evaluations_since_best: Evaluations without a better one.
        ranks: Number of ranks; a position in the data means the same only to as many.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    best_value: float = float("-inf")
    best_step: int = 0
    evaluations_since_best: int = 0
    ranks: int = 1


class Checkpoints:
    """The checkpoints of one run folder.

    Args:
        model_dir: The run folder.
        keep: Newest checkpoints kept, beside the best.
    """

    def __init__(self, model_dir: Path, keep: int) -> None:
        self._model_dir = model_dir
        self._folder = model_dir / CHECKPOINTS
        self._keep = keep

    def path(self, step: int) -> Path:
        """Returns the folder of the checkpoint of a step."""
        return self._folder / f"step-{step:09d}"

    def save(self, model: Recommender, state: TrainState) -> None:
        """Writes a checkpoint whole, then removes those no longer kept."""
        path = self.path(state.step)
        with atomic_folder(path, overwrite=True) as partial:
            save_weights(model, partial)
            # JSON has no infinity; absent means that nothing was evaluated yet.
            values = {k: v for k, v in asdict(state).items() if v != float("-inf")}
            write_json(partial / _STATE_FILE, values)
        self._remove_old(state.best_step)

    def _remove_old(self, best_step: int) -> None:
        kept = {self.path(best_step), *self.all()[-self._keep :]}
        for path in self.all():
            if path not in kept:
                shutil.rmtree(path)

    def all(self) -> list[Path]:
        """Returns the complete checkpoints, the oldest first."""
        return sorted(self._folder.glob("step-*"))

    def restore(self, model: Recommender, ranks: int) -> TrainState:
        """Restores the newest checkpoint, if there is one, into a model prepared for training.

        Returns:
            The state: that of a new run where there is no checkpoint.

        Raises:
            InputError: A checkpoint that cannot be read, or one of another number of ranks.
        """
        self._recover()
        paths = self.all()
        if not paths:
            return TrainState(ranks=ranks)
        state = self._state(paths[-1])
        if state.ranks != ranks:
            raise InputError(
                "A run goes on with the number of ranks that it was started with",
                received=f"{ranks}, started with {state.ranks}",
                where=paths[-1],
                action=f"Start {state.ranks} ranks, or train anew in another --model_dir",
            )
        load_weights(model, paths[-1])
        return state

    def _recover(self) -> None:
        """Clears what a process left that was killed while it wrote or replaced a checkpoint."""
        for name in {left.name[1:].partition(".")[0] for left in self._folder.glob(".step-*")}:
            clear_leftovers(self._folder / name)

    @staticmethod
    def _state(path: Path) -> TrainState:
        try:
            return TrainState(**json.loads((path / _STATE_FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                "A checkpoint must hold a readable state.json",
                received=error,
                where=path,
                action="Delete that folder to go on from the checkpoint before it",
            ) from error

    def mark_best(self, step: int, reason: str) -> None:
        """Names the checkpoint that later stages use."""
        write_json(
            self._model_dir / BEST_FILE,
            {"checkpoint": self.path(step).name, "chosen_by": reason},
        )
