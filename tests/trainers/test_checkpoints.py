"""Checkpoints that cannot be written, or whose files have changed since: said, and never used."""

from __future__ import annotations

import errno
import json
import resource
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from configs.overrides import apply_overrides
from configs.registry import build_model, recipe
from configs.runs import load_run
from data.dataset import PreparedDataset
from data.errors import InputError
from models.checksums import damage
from models.communicator import Communicator
from models.recommender import Recommender
from trainers.agreement import OtherRankError
from trainers.checkpoints import Checkpoints, TrainState
from trainers.loop import Trainer
from trainers.reporting import Reporter
from trainers.run_folder import open_run_folder, unlock_run_folder

ONE = Communicator()
CONFIG = apply_overrides(
    recipe("ncf", "tiny"),
    ["trainer.epochs=2", "trainer.patience=0", "trainer.checkpoint_steps=20"]
    + ["trainer.keep_checkpoints=4", "trainer.steps_per_call=10"]
    + ["evaluation.validation_protocols=sampled"],
)
TABLE = "tables/item/values-00000-of-00001.npy"


@pytest.fixture(scope="module")
def trained(synthetic_data: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a run with several checkpoints, the newest its best."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    open_run_folder(folder, CONFIG, synthetic_data, overwrite=False)
    Trainer(CONFIG, synthetic_data, build_model(CONFIG, synthetic_data), folder, ONE).train()
    unlock_run_folder()
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """Returns a copy of that run."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def saved(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("step-*"))


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def cut_a_line(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1].rpartition(b"\n")[0] + b"\n")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def files(checkpoint: Path) -> list[Path]:
    return [path for path in sorted(checkpoint.rglob("*")) if path.is_file()]


@pytest.mark.parametrize("spoil", [flip_a_bit, cut_a_line, empty, Path.unlink])
def test_damage_to_any_file_of_a_checkpoint_is_found(
    spoil: Callable[[Path], None], run: Path
) -> None:
    checkpoint = saved(run)[-1]
    assert damage(checkpoint) == ""
    names = {path.name for path in files(checkpoint)}
    assert {"state.json", "weights.index", "checksums-00000-of-00001.txt"} <= names
    for path in files(checkpoint):
        content = path.read_bytes()
        spoil(path)
        found = damage(checkpoint)
        assert path.name in found or "0 of its lists of checksums" in found, path
        path.write_bytes(content)
    assert damage(checkpoint) == ""


def test_the_checkpoint_before_a_damaged_one_is_used_and_said(
    run: Path, synthetic_data: PreparedDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    *_, first, second, third = saved(run)
    flip_a_bit(third / TABLE)
    (second / "weights.index").unlink()
    checkpoints = Checkpoints(run, 4, ONE)
    state = checkpoints.newest()
    assert state.step == step_of(first)
    told = capsys.readouterr().err
    assert f"warning: {third.name} is damaged, and kept as {run}" in told
    assert "values-00000-of-00001.npy has the checksum" in told
    assert "weights.index" in told
    assert f"going back to {first.name}, the newest that is whole" in told
    aside = sorted(path.name for path in (run / "checkpoints").glob("damaged-*"))
    assert aside == [f"damaged-{second.name}", f"damaged-{third.name}"]
    model = build_model(CONFIG, synthetic_data)
    checkpoints.restore(model, state)
    stack, start = next((s, s.offsets["item"]) for s in model.tables.stacks if "item" in s.offsets)
    written = np.load(first / TABLE)
    np.testing.assert_array_equal(stack.variable[start : start + len(written)], written)
    assert checkpoints.newest().step == state.step
    assert capsys.readouterr().err == ""  # said once


def test_with_no_whole_checkpoint_a_run_is_refused_and_left_as_it_is(run: Path) -> None:
    for checkpoint in saved(run):
        flip_a_bit(checkpoint / TABLE)
    before = saved(run)
    with pytest.raises(InputError, match="goes on from a checkpoint whose files are whole") as told:
        Checkpoints(run, 4, ONE).newest()
    assert all(checkpoint.name in str(told.value) for checkpoint in before)
    assert saved(run) == before


def with_best(run: Path, synthetic_data: PreparedDataset, best: int) -> TrainState:
    """Adds a checkpoint whose best is another one, and returns its state."""
    checkpoints = Checkpoints(run, 9, ONE)
    model = build_model(CONFIG, synthetic_data)
    state = replace(checkpoints.newest(), step=900, best_step=best, evaluations_since_best=3)
    checkpoints.save(model, state)
    return state


def test_a_checkpoint_whose_best_is_damaged_is_not_gone_on_with(
    run: Path, synthetic_data: PreparedDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    before, best = saved(run)[-2:]
    with_best(run, synthetic_data, step_of(best))
    flip_a_bit(best / TABLE)
    assert Checkpoints(run, 4, ONE).newest().step == step_of(before)
    assert f"{best.name}, its best, is damaged" in capsys.readouterr().err


def test_without_its_best_a_run_goes_on_and_chooses_anew(
    run: Path, synthetic_data: PreparedDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    best = saved(run)[-1]
    with_best(run, synthetic_data, step_of(best))
    shutil.rmtree(best)
    state = Checkpoints(run, 4, ONE).newest()
    assert (state.step, state.best_step, state.evaluations_since_best) == (900, 0, 0)
    assert state.best_value == float("-inf")
    assert f"{best.name}, the best so far, is gone" in capsys.readouterr().err


def test_a_damaged_best_checkpoint_is_neither_evaluated_nor_exported(run: Path) -> None:
    flip_a_bit(saved(run)[-1] / "weights.data-00000-of-00001")
    with pytest.raises(InputError, match="must be as it was written.*weights.data"):
        load_run(run)


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


def as_of_two_ranks(checkpoint: Path) -> None:
    """Splits the list of a checkpoint's files: rank 1 has written the tables."""
    from models.checksums import checksum_of, write_checksums

    (checkpoint / "checksums-00000-of-00001.txt").unlink()
    for rank in (0, 1):
        paths = [p for p in files(checkpoint) if (p.suffix == ".npy") == bool(rank)]
        paths = [p for p in paths if not p.name.startswith("checksums")]
        sums = {str(path.relative_to(checkpoint)): checksum_of(path) for path in paths}
        write_checksums(checkpoint, sums, rank, 2)


def test_all_ranks_go_back_to_the_same_checkpoint(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, last = saved(run)[-2:]
    for checkpoint in (before, last):
        as_of_two_ranks(checkpoint)
    flip_a_bit(last / TABLE)
    assert damage(last, 0, 2) == ""  # rank 0 alone would have gone on with it
    states = on_two_ranks(lambda communicator: Checkpoints(run, 4, communicator).newest())
    assert [getattr(state, "step", state) for state in states] == [step_of(before)] * 2
    assert capsys.readouterr().err.count(f"{last.name} is damaged") == 1
    (before / "checksums-00001-of-00002.txt").unlink()
    for checkpoint in saved(run)[:-1]:
        shutil.rmtree(checkpoint)
    errors = on_two_ranks(lambda communicator: Checkpoints(run, 4, communicator).newest())
    assert [type(error) for error in errors] == [InputError, OtherRankError]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Lets the system refuse to write larger files, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in files(folder)}


@pytest.mark.parametrize("size", [100, 2_000, 10_000])  # in which state, dense weights, tables end
def test_a_checkpoint_that_cannot_be_written_leaves_those_before_it(
    size: int, run: Path, synthetic_data: PreparedDataset
) -> None:
    before, newest = contents(run / "checkpoints"), saved(run)[-1]
    checkpoints = Checkpoints(run, 1, ONE)
    state, model = replace(checkpoints.newest(), step=900), build_model(CONFIG, synthetic_data)
    with largest_file(size), pytest.raises(InputError) as told:
        checkpoints.save(model, state)
    assert "A checkpoint must be written" in str(told.value)
    assert "goes on from " + newest.name in str(told.value)
    assert contents(run / "checkpoints") == before
    checkpoints.save(model, state)
    assert checkpoints.newest().step == 900


def test_a_rank_that_cannot_write_ends_all(
    run: Path, synthetic_data: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(run / "checkpoints")

    def write(model: Recommender, folder: Path, texts: dict[str, str]) -> None:
        if threading.current_thread() is not first:
            raise OSError(errno.ENOSPC, "No space left on device")

    def save(communicator: Communicator) -> None:
        nonlocal first
        if communicator.rank == 0:
            first = threading.current_thread()
        communicator.barrier()
        Checkpoints(run, 1, communicator).save(model, TrainState(step=900))

    first, model = threading.current_thread(), build_model(CONFIG, synthetic_data)
    monkeypatch.setattr("trainers.checkpoints.save_weights", write)
    assert [type(error) for error in on_two_ranks(save)] == [OtherRankError, InputError]
    assert contents(run / "checkpoints") == before


def test_nothing_is_saved_that_was_trained_on_a_replaced_dataset(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(synthetic_data.folder, tmp_path / "data"))
    data, run = PreparedDataset(folder), tmp_path / "run"
    trainer = Trainer(CONFIG, data, build_model(CONFIG, data), run, ONE)
    schema = folder / "schema.json"
    schema.write_text(schema.read_text() + " ")
    with pytest.raises(InputError, match="must stay as it is while it is read.*another schema"):
        trainer.train()
    assert saved(run) == []
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="must stay as it is while it is read.*No such file"):
        data.check_unchanged()


def test_evaluations_that_are_made_again_are_not_kept_twice(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for evaluated, kept in ((30, [10, 20, 30]), (29, [10, 20]), (0, [])):
        lines = [json.dumps({"step": step}) + "\n" for step in (10, 20, 30, 40)]
        path.write_text("".join(lines) + '{"step": 5')
        Reporter(tmp_path, evaluated, 90, silent=False).close()
        assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == kept
