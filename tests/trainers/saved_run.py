"""A run with several checkpoints, to look at and to spoil."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from configs.overrides import apply_overrides
from configs.registry import build_model, recipe
from data.dataset import PreparedDataset
from data.errors import InputError
from models.communicator import Communicator
from trainers.agreement import OtherRankError
from trainers.loop import Trainer
from trainers.run_folder import open_run_folder, unlock_run_folder

ONE = Communicator()
CONFIG = apply_overrides(
    recipe("ncf", "tiny"),
    [
        "trainer.epochs=2",
        "trainer.patience=0",
        "trainer.checkpoint_steps=20",
        "trainer.keep_checkpoints=4",
        "trainer.steps_per_call=10",
        "evaluation.validation_protocols=sampled",
    ],
)
TABLE = "tables/item/values-00000-of-00001.npy"


def train(data: PreparedDataset, folder: Path) -> Path:
    """Trains in this process; the newest checkpoint is the best."""
    open_run_folder(folder, CONFIG, data, overwrite=False)
    Trainer(CONFIG, data, build_model(CONFIG, data), folder, ONE).train()
    unlock_run_folder()
    return folder


def saved(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("step-*"))


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def files(checkpoint: Path) -> list[Path]:
    return [path for path in sorted(checkpoint.rglob("*")) if path.is_file()]


class Rank(Communicator):
    """One of two ranks that are threads."""

    def __init__(self, rank: int, given: list[tf.Tensor], meeting: threading.Barrier) -> None:
        self.rank, self.size = rank, 2
        self._given, self._meeting = given, meeting

    def all_gather(self, tensor: tf.Tensor) -> tf.Tensor:
        self._given[self.rank] = tensor
        self._meeting.wait(30)
        joined = tf.concat(self._given, 0)
        self._meeting.wait(30)
        return joined

    def all_reduce_sum(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(self.all_gather(tensor[None]), 0)

    def barrier(self) -> None:
        self._meeting.wait(30)


def on_two_ranks(work: Callable[[Communicator], object]) -> list[object]:
    """Returns what the work gives or raises on each of two ranks."""
    found: list[object] = [None, None]
    given, meeting = [tf.zeros([0])] * 2, threading.Barrier(2)

    def rank(number: int) -> None:
        try:
            found[number] = work(Rank(number, given, meeting))
        except (InputError, OtherRankError) as error:
            found[number] = error

    threads = [threading.Thread(target=rank, args=[number]) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
