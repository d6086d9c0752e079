"""Checkpoints: weights, optimizer slots and data position; each complete or absent."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import tensorflow as tf

from configs.runs import BEST_FILE, CHECKPOINTS
from data.atomic import atomic_folder, clear_leftovers, write_json
from data.errors import InputError
from models.checksums import damage
from models.communicator import Communicator
from models.recommender import Recommender
from models.saving import load_weights, save_weights
from trainers.agreement import any_rank, failing_together, join_texts, share_failure, share_text
from trainers.train_state import TrainState

_STATE_FILE = "state.json"
_DAMAGED = "damaged-"


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
        """Writes a checkpoint whole, then removes those no longer kept.

        Raises:
            InputError: It cannot be written, as on a full disk. Those before it are as they were.
        """
        path, error = self.path(state.step), None
        try:
            with self._opened(path) as partial:
                failure = self._write(model, state, partial)
                # All have written before it is published.
                share_failure(failure, self._communicator)
        except OSError as failed:
            error = self._not_written(path, failed)
        share_failure(error, self._communicator)
        if self._communicator.rank == 0:
            self._remove_old(state.best_step)
        self._communicator.checkpointed()

    def _write(self, model: Recommender, state: TrainState, partial: Path) -> InputError | None:
        try:
            save_weights(model, partial, {_STATE_FILE: state.to_json()})
        except (OSError, tf.errors.OpError) as failed:
            return self._not_written(self.path(state.step), failed)
        return None

    def _not_written(self, path: Path, failed: Exception) -> InputError:
        before = [whole.name for whole in self.all() if whole != path][-1:]
        from_where = f"goes on from {before[0]}, which is whole" if before else "starts anew"
        return InputError(
            "A checkpoint must be written, or what is trained next could be lost",
            received=str(failed).splitlines()[0],
            where=path,
            action=f"Make room or mend the disk; the same command then {from_where}",
        )

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Path]:
        """Yields the folder that rank 0 publishes as `path` when the block ends."""
        with ExitStack() as stack:
            name, error = "", None
            if self._communicator.rank == 0:
                try:
                    name = stack.enter_context(atomic_folder(path, overwrite=True)).name
                except InputError as failed:
                    error = self._not_written(path, failed)
            share_failure(error, self._communicator)
            yield path.with_name(share_text(name, self._communicator))

    def _remove_old(self, best_step: int) -> None:
        kept = {self.path(best_step), *self.all()[-self._keep :]}
        for path in self.all():
            if path not in kept:
                shutil.rmtree(path)

    def all(self) -> list[Path]:
        """Returns the complete checkpoints, the oldest first."""
        return sorted(self._folder.glob("step-*"))

    def newest(self) -> TrainState:
        """Returns the state of the newest checkpoint that is whole, as is its best one.

        Newer ones are damaged, and put aside. Where there is no checkpoint it is a new run's.

        Raises:
            InputError: There are some, and none is whole.
        """
        if self._communicator.rank == 0:
            self._recover()
        names = share_text(" ".join(p.name for p in self.all()), self._communicator).split()
        faults: dict[str, str] = {}
        for name in reversed(names):
            state, fault = self._examined(self._folder / name)
            if not fault:
                self._put_aside(faults, name)
                return state
            faults[name] = fault
        error = self._none_is_whole(faults) if faults and self._communicator.rank == 0 else None
        share_failure(error, self._communicator)
        return TrainState()

    def _examined(self, path: Path) -> tuple[TrainState, str]:
        """Returns a checkpoint's state, and what is wrong with it; the same on all ranks."""
        fault = self._damage(path)
        if fault:
            return TrainState(), fault
        text = ""
        if self._communicator.rank == 0:
            text, fault = _readable_state(path / _STATE_FILE)
        fault = share_text(fault, self._communicator)
        if fault:
            return TrainState(), fault
        state = TrainState.from_json(share_text(text, self._communicator))
        best = self.path(state.best_step)
        if state.best_step not in (0, state.step):
            if not any_rank(best.exists(), self._communicator):
                state = self._without_best(state, best)
            elif fault := self._damage(best):
                return state, (
                    f"{best.name}, its best, is damaged ({fault}); delete {best.name} alone to go "
                    "on without it"
                )
        return state, ""

    def _damage(self, path: Path) -> str:
        """Returns what some rank finds wrong with a checkpoint; each checks a part."""
        found = damage(path, self._communicator.rank, self._communicator.size)
        return join_texts(f"{found}\n" if found else "", self._communicator).partition("\n")[0]

    def _without_best(self, state: TrainState, best: Path) -> TrainState:
        self._say(f"{best.name}, the best so far, is gone; the best is chosen anew from here")
        return replace(state, best_value=float("-inf"), best_step=0, evaluations_since_best=0)

    def _put_aside(self, faults: dict[str, str], whole: str) -> None:
        """Renames damaged checkpoints, so that they are neither read nor counted again."""
        for name, fault in faults.items():
            aside = self._folder / f"{_DAMAGED}{name}"
            self._say(f"{name} is damaged, and kept as {aside}: {fault}")
            if self._communicator.rank == 0:
                shutil.rmtree(aside, ignore_errors=True)
                (self._folder / name).rename(aside)
        if faults:
            self._say(f"going back to {whole}, the newest that is whole")
        self._communicator.barrier()

    def _none_is_whole(self, faults: dict[str, str]) -> InputError:
        return InputError(
            "A run goes on from a checkpoint whose files are whole",
            received="; ".join(f"{name}: {fault}" for name, fault in faults.items()),
            where=self._folder,
            action="Put them back from a copy, or delete that folder to train from the beginning",
        )

    def _say(self, text: str) -> None:
        if self._communicator.rank == 0:
            print(f"warning: {text}", file=sys.stderr, flush=True)

    def restore(self, model: Recommender, state: TrainState) -> None:
        """Restores the checkpoint of a state into a model prepared for training, if there is one.

        Raises:
            InputError: A checkpoint that cannot be read, or that is another model's.
        """
        with failing_together(self._communicator):
            if state.step or self.path(0).is_dir():
                load_weights(model, self.path(state.step))

    def _recover(self) -> None:
        """Clears what a process left that was killed while it wrote or replaced a checkpoint."""
        for name in {left.name[1:].partition(".")[0] for left in self._folder.glob(".step-*")}:
            clear_leftovers(self._folder / name)

    def mark_best(self, step: int, reason: str) -> None:
        """Names the checkpoint that later stages use."""
        if self._communicator.rank == 0:
            chosen = {"checkpoint": self.path(step).name, "chosen_by": reason}
            write_json(self._model_dir / BEST_FILE, chosen)


def _readable_state(path: Path) -> tuple[str, str]:
    """Returns the text of a state, and why it cannot be read, if so."""
    try:
        text = path.read_text(encoding="utf-8")
        TrainState.from_json(text)
    except (OSError, ValueError, TypeError, KeyError) as error:
        return "", f"{path.name} cannot be read, perhaps by this version: {error}"
    return text, ""
