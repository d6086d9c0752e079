"""The tuning command, as users run it: two workers, killed in the middle, and gone on with."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.trial import TrialState

from data.dataset import PreparedDataset

REPOSITORY = Path(__file__).parents[2]
SECONDS = 240


def command(data: PreparedDataset, study_dir: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        *("-m", "trainers.tune", "--model=ncf", "--recipe=tiny"),
        *(f"--data_dir={data.folder}", f"--study_dir={study_dir}"),
        *("--set=trainer.epochs=4", "--set=model.variant=mf", *more),
    ]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_killed_study_goes_on_with_the_same_command(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    arguments = command(synthetic_data, folder, "--trials=2", "--workers=2")
    with subprocess.Popen(arguments, cwd=REPOSITORY) as process:
        until(lambda: len(list(folder.glob("trials/*/log.txt"))) == 2)
        workers = children(process.pid)
        process.kill()
    assert len(workers) == 2
    until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))

    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{folder / 'study.db'}")
    ends = [trial.state for trial in study.trials]
    assert ends.count(TrialState.COMPLETE) == 2
    retried = {trial.user_attrs["retry_of"]: trial for trial in study.trials[2:]}
    for number in (0, 1):
        assert study.trials[number].state == TrialState.FAIL
        assert retried[number].params == study.trials[number].params
    assert "2 complete" in done.stdout
    assert f"--recipe={folder / 'best.yaml'}" in done.stdout
    assert list(folder.rglob("metrics.json")) == []
    assert len(list(folder.rglob("checkpoints"))) == 1


def test_bad_input_is_one_error(synthetic_data: PreparedDataset, tmp_path: Path) -> None:
    arguments = command(synthetic_data, tmp_path / "study", "--storage=study.db")
    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "--storage must be the URL of a database that can be reached" in errors[0]
