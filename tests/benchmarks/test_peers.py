"""The peer programs train what their task says; those of PyTorch are tried where it is."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from benchmarks.peers import environment, row_examples, timing
from benchmarks.peers.timing import Measured
from data.errors import InputError
from tests.benchmarks.tasks import DLRM, ROWS, WIDE_DEEP, write_clicks, write_task

REPOSITORY = Path(__file__).parents[2]
FIELDS = {
    "examples_per_second",
    "examples_per_second_overall",
    "seconds",
    "loss",
    "steps_taken",
    "examples_per_step",
    "peak_bytes",
    "versions",
}


@pytest.fixture(autouse=True)
def _same_environment() -> Iterator[None]:
    """Undoes what reading a task does to the environment."""
    with mock.patch.dict(os.environ):
        yield


@pytest.mark.long
@pytest.mark.parametrize(
    ("program", "model", "epoch", "examples"),
    [
        ("keras_clicks", DLRM, False, 100),
        ("keras_clicks", WIDE_DEEP, True, ROWS),
        ("tfrs_ranking", DLRM, False, 100),
    ],
)
def test_keras_programs_learn(
    tmp_path: Path, program: str, model: dict[str, Any], epoch: bool, examples: int
) -> None:
    write_clicks(tmp_path)
    steps = 9 if epoch else 100
    path = write_task(tmp_path, model=model, epoch=epoch, steps=steps)
    command = [sys.executable, "-m", f"benchmarks.peers.{program}", str(path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert set(result) == FIELDS
    assert result["loss"] < 0.5 < math.log(2)
    assert len(result["seconds"]) == steps
    assert result["steps_taken"] == (1 if epoch else 5) + steps
    assert result["examples_per_step"] == examples
    assert {"python", "tensorflow", "tf-keras"} <= set(result["versions"])


def test_a_row_file_holds_the_rows_of_the_steps(tmp_path: Path) -> None:
    write_clicks(tmp_path)
    for steps, rows in ((2, 700), (100, ROWS)):
        task = timing.read_task(write_task(tmp_path, steps=steps))
        assert row_examples.write(task, tmp_path / "rows") == (rows, 2)
    features, labels = next(iter(row_examples.read(task, tmp_path / "rows", numbers=2)))
    numbers, ids = (features[key] for key in (row_examples.NUMBERS, row_examples.IDS))
    assert set(map(tuple, numbers.numpy())) <= set(map(tuple, task.array("numbers")))
    expected = numbers[:, 0].numpy() + ids["id_01"].numpy() % 2 > 0.5
    assert (labels.numpy() == expected).all()


def test_warm_up_is_not_timed(tmp_path: Path) -> None:
    for epoch, warmup in ((False, 5), (True, 1)):
        task = timing.read_task(write_task(tmp_path, epoch=epoch, steps=3))
        measured = timing.measure(task, map(float, range(100)).__next__)
        assert measured.losses == [warmup, warmup + 1, warmup + 2]
        assert len(measured.seconds) == 3


def test_a_task_limits_threads(tmp_path: Path) -> None:
    assert timing.read_task(write_task(tmp_path, threads=3)).threads == 3
    assert os.environ["OMP_NUM_THREADS"] == os.environ["TF_NUM_INTRAOP_THREADS"] == "3"


def test_the_result_is_of_the_median_step_and_the_last_losses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = timing.read_task(write_task(tmp_path))
    seconds, losses = [2.0] * 19 + [12.0], list(range(20))
    timing.print_result(task, Measured(seconds, losses), 100, ("numpy",))
    result = json.loads(capsys.readouterr().out)
    assert set(result) == FIELDS
    assert result["examples_per_second"] == 50
    assert result["examples_per_second_overall"] == 40
    assert result["loss"] == 18.5
    assert result["versions"]["numpy"] == np.__version__


def test_the_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        "import pathlib, sys; f = pathlib.Path(sys.argv[1]); f.mkdir(parents=True, exist_ok=True)"
    )
    script += "; (f / 'made').open('a').write('x')"
    monkeypatch.setattr(
        environment,
        "_commands",
        lambda folder, python: [[sys.executable, "-c", script, str(folder)]],
    )
    made, stamp = tmp_path / "work/venv/made", tmp_path / "work/venv" / environment._STAMP
    for _ in range(2):
        python = environment.python_of_peers(tmp_path / "work")
        assert python == tmp_path / "work/venv/bin/python"
    assert made.read_text() == "x"
    stamp.unlink()
    environment.python_of_peers(tmp_path / "work")
    assert made.read_text() == "xx"
    monkeypatch.setattr(environment, "REQUIREMENTS", ("torch==99",))
    environment.python_of_peers(tmp_path / "work")
    assert made.read_text() == "xxx"


def test_a_failed_environment_shows_why_and_counts_as_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "import sys; print('\\n'.join(map(str, range(90)))); sys.exit('no such version')"
    monkeypatch.setattr(environment, "_commands", lambda *_: [[sys.executable, "-c", script]])
    with pytest.raises(InputError, match="no such version") as failure:
        environment.python_of_peers(tmp_path)
    assert "89" in str(failure.value)
    assert "\n7\n" not in str(failure.value)
    assert not (tmp_path / "venv" / environment._STAMP).exists()
