"""Checkpoints whose files have changed since they were written: said, and never used."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from configs.registry import build_model
from configs.runs import load_run
from data.dataset import PreparedDataset
from data.errors import InputError
from models.checksums import checksum_of, damage, write_checksums
from tests.trainers.saved_run import (
    CONFIG,
    ONE,
    TABLE,
    files,
    flip_a_bit,
    on_two_ranks,
    saved,
    step_of,
)
from trainers.agreement import OtherRankError
from trainers.checkpoints import Checkpoints
from trainers.train_state import TrainState


def cut_a_line(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1].rpartition(b"\n")[0] + b"\n")


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [flip_a_bit, cut_a_line, empty, Path.unlink])
def test_damage_to_any_file_of_a_checkpoint_is_found(
    spoil: Callable[[Path], None], saved_run: Path
) -> None:
    checkpoint = saved(saved_run)[-1]
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
    saved_run: Path, synthetic_data: PreparedDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    *_, first, second, third = saved(saved_run)
    flip_a_bit(third / TABLE)
    (second / "weights.index").unlink()
    checkpoints = Checkpoints(saved_run, 4, ONE)
    state = checkpoints.newest()
    assert state.step == step_of(first)
    told = capsys.readouterr().err
    assert f"warning: {third.name} is damaged, and kept as {saved_run}" in told
    assert "values-00000-of-00001.npy has the checksum" in told
    assert "weights.index" in told
    assert f"going back to {first.name}, the newest that is whole" in told
    aside = sorted(path.name for path in (saved_run / "checkpoints").glob("damaged-*"))
    assert aside == [f"damaged-{second.name}", f"damaged-{third.name}"]
    model = build_model(CONFIG, synthetic_data)
    checkpoints.restore(model, state)
    stack, start = next((s, s.offsets["item"]) for s in model.tables.stacks if "item" in s.offsets)
    written = np.load(first / TABLE)
    np.testing.assert_array_equal(stack.variable[start : start + len(written)], written)
    assert checkpoints.newest().step == state.step
    assert capsys.readouterr().err == ""  # said once


def test_with_no_whole_checkpoint_a_run_is_refused_and_left_as_it_is(saved_run: Path) -> None:
    for checkpoint in saved(saved_run):
        flip_a_bit(checkpoint / TABLE)
    before = saved(saved_run)
    with pytest.raises(InputError, match="goes on from a checkpoint whose files are whole") as told:
        Checkpoints(saved_run, 4, ONE).newest()
    assert all(checkpoint.name in str(told.value) for checkpoint in before)
    assert saved(saved_run) == before


def with_best(saved_run: Path, synthetic_data: PreparedDataset, best: int) -> TrainState:
    """Adds a checkpoint whose best is another one, and returns its state."""
    checkpoints = Checkpoints(saved_run, 9, ONE)
    model = build_model(CONFIG, synthetic_data)
    state = replace(checkpoints.newest(), step=900, best_step=best, evaluations_since_best=3)
    checkpoints.save(model, state)
    return state


def test_a_checkpoint_whose_best_is_damaged_is_not_gone_on_with(
    saved_run: Path, synthetic_data: PreparedDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    before, best = saved(saved_run)[-2:]
    with_best(saved_run, synthetic_data, step_of(best))
    flip_a_bit(best / TABLE)
    assert Checkpoints(saved_run, 4, ONE).newest().step == step_of(before)
    assert f"{best.name}, its best, is damaged" in capsys.readouterr().err


def test_without_its_best_a_run_goes_on_and_chooses_anew(
    saved_run: Path, synthetic_data: PreparedDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    best = saved(saved_run)[-1]
    with_best(saved_run, synthetic_data, step_of(best))
    shutil.rmtree(best)
    state = Checkpoints(saved_run, 4, ONE).newest()
    assert (state.step, state.best_step, state.evaluations_since_best) == (900, 0, 0)
    assert state.best_value == float("-inf")
    assert f"{best.name}, the best so far, is gone" in capsys.readouterr().err


def test_a_position_of_another_version_is_as_good_as_damaged(
    saved_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, last = saved(saved_run)[-2:]
    (last / "state.json").write_text('{"step": 3, "phase_of_the_moon": 1}')
    (last / "checksums-00000-of-00001.txt").unlink()
    sums = {path.name: checksum_of(path) for path in files(last)[:1]}
    write_checksums(last, sums, 0, 1)
    assert Checkpoints(saved_run, 4, ONE).newest().step == step_of(before)
    assert "state.json cannot be read" in capsys.readouterr().err


def test_a_damaged_best_checkpoint_is_neither_evaluated_nor_exported(saved_run: Path) -> None:
    flip_a_bit(saved(saved_run)[-1] / "weights.data-00000-of-00001")
    with pytest.raises(InputError, match=r"must be as it was written.*weights\.data"):
        load_run(saved_run)


@pytest.mark.parametrize("name", ["config.json", "best.json"])
def test_a_damaged_file_of_a_run_is_named(name: str, saved_run: Path) -> None:
    cut_a_line(saved_run / name)
    with pytest.raises(InputError, match=f"must be as they were written.*{name}"):
        load_run(saved_run)


def as_of_two_ranks(checkpoint: Path) -> None:
    """Splits the list of a checkpoint's files: rank 1 has written the tables."""
    (checkpoint / "checksums-00000-of-00001.txt").unlink()
    for rank in (0, 1):
        paths = [p for p in files(checkpoint) if (p.suffix == ".npy") == bool(rank)]
        paths = [p for p in paths if not p.name.startswith("checksums")]
        sums = {str(path.relative_to(checkpoint)): checksum_of(path) for path in paths}
        write_checksums(checkpoint, sums, rank, 2)


def test_all_ranks_go_back_to_the_same_checkpoint(
    saved_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, last = saved(saved_run)[-2:]
    for checkpoint in (before, last):
        as_of_two_ranks(checkpoint)
    flip_a_bit(last / TABLE)
    assert damage(last, 0, 2) == ""  # rank 0 alone would have gone on with it
    states = on_two_ranks(lambda communicator: Checkpoints(saved_run, 4, communicator).newest())
    assert [getattr(state, "step", state) for state in states] == [step_of(before)] * 2
    assert capsys.readouterr().err.count(f"{last.name} is damaged") == 1
    (before / "checksums-00001-of-00002.txt").unlink()
    for checkpoint in saved(saved_run)[:-1]:
        shutil.rmtree(checkpoint)
    errors = on_two_ranks(lambda communicator: Checkpoints(saved_run, 4, communicator).newest())
    assert [type(error) for error in errors] == [InputError, OtherRankError]
