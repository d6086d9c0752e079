"""What cannot be written, or may not be: said at once, and nothing that was there is lost."""

from __future__ import annotations

import errno
import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from configs.registry import build_model
from data.dataset import PreparedDataset
from data.errors import InputError
from models.communicator import Communicator
from models.recommender import Recommender
from tests.small_disk import largest_file
from tests.trainers.saved_run import CONFIG, ONE, files, on_two_ranks, saved
from trainers.agreement import OtherRankError
from trainers.board.writer import BoardWriter
from trainers.checkpoints import Checkpoints
from trainers.loop import Trainer
from trainers.reporting import Reporter
from trainers.run_folder import open_run_folder
from trainers.train_state import TrainState


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in files(folder)}


@pytest.mark.parametrize("size", [100, 2_000, 10_000])  # in which state, dense weights, tables end
def test_a_checkpoint_that_cannot_be_written_leaves_those_before_it(
    size: int, saved_run: Path, synthetic_data: PreparedDataset
) -> None:
    before, newest = contents(saved_run / "checkpoints"), saved(saved_run)[-1]
    checkpoints = Checkpoints(saved_run, 1, ONE)
    state, model = replace(checkpoints.newest(), step=900), build_model(CONFIG, synthetic_data)
    with largest_file(size), pytest.raises(InputError) as told:
        checkpoints.save(model, state)
    assert "A checkpoint must be written" in str(told.value)
    assert "goes on from " + newest.name in str(told.value)
    assert contents(saved_run / "checkpoints") == before
    checkpoints.save(model, state)
    assert checkpoints.newest().step == 900


def test_a_rank_that_cannot_write_ends_all(
    saved_run: Path, synthetic_data: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(saved_run / "checkpoints")

    model = build_model(CONFIG, synthetic_data)
    ranks: dict[int, int] = {}

    def write(model: Recommender, folder: Path, texts: dict[str, str]) -> None:
        if ranks[threading.get_ident()] == 1:
            raise OSError(errno.ENOSPC, "No space left on device")

    def save(communicator: Communicator) -> None:
        ranks[threading.get_ident()] = communicator.rank
        Checkpoints(saved_run, 1, communicator).save(model, TrainState(step=900))

    monkeypatch.setattr("trainers.checkpoints.save_weights", write)
    assert [type(error) for error in on_two_ranks(save)] == [OtherRankError, InputError]
    assert contents(saved_run / "checkpoints") == before


def test_nothing_is_saved_that_was_trained_on_a_replaced_dataset(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(synthetic_data.folder, tmp_path / "data"))
    data, run = PreparedDataset(folder), tmp_path / "run"
    trainer = Trainer(CONFIG, data, build_model(CONFIG, data), run, ONE)
    schema = folder / "schema.json"
    schema.write_text(schema.read_text() + " ")
    with pytest.raises(InputError, match=r"must stay as it is while it is read.*another schema"):
        trainer.train()
    assert saved(run) == []
    shutil.rmtree(folder)
    with pytest.raises(InputError, match=r"must stay as it is while it is read.*No such file"):
        data.check_unchanged()


def test_evaluations_that_are_made_again_are_not_kept_twice(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for evaluated, kept in ((30, [10, 20, 30]), (29, [10, 20]), (0, [])):
        lines = [json.dumps({"step": step}) for step in (10, 20, 30, 40)]
        path.write_text("\n".join([*lines, "\0\0", '{"step": 5']))
        Reporter(tmp_path, evaluated, 90, BoardWriter(tmp_path)).close()
        assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == kept


def test_a_run_folder_that_cannot_be_written_is_refused_before_training(
    synthetic_data: PreparedDataset,
) -> None:
    with pytest.raises(InputError, match=r"must be a folder that can be written.*/proc/run"):
        open_run_folder(Path("/proc/run"), CONFIG, synthetic_data, overwrite=False)
