"""Real Horovod processes over Gloo: several ranks give what one rank gives."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from data.dataset import PreparedDataset

REPOSITORY = Path(__file__).parents[2]
STEPS = Path(__file__).with_name("distributed_steps.py")

pytestmark = [
    pytest.mark.horovod,
    pytest.mark.skipif(
        importlib.util.find_spec("horovod") is None,
        reason="Horovod is not installed: launch/build_horovod.sh",
    ),
]


def command(ranks: int, *arguments: object) -> list[str]:
    alone = [sys.executable, *map(str, arguments)]
    if ranks == 1:
        return alone
    horovodrun = Path(sys.executable).with_name("horovodrun")
    return [sys.executable, str(horovodrun), "-np", str(ranks), "--gloo", *alone]


def tiny_run(data: PreparedDataset, model_dir: Path) -> list[str]:
    flags = ["--model=ncf", "--recipe=tiny", f"--data_dir={data.folder}"]
    return ["-m", "trainers.run", *flags, f"--model_dir={model_dir}"]


def start(ranks: int, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(ranks, *arguments),
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)


def read_until(process: subprocess.Popen[str], text: str) -> bool:
    assert process.stdout is not None
    return any(text in line for line in process.stdout)


def pid_of_rank(rank: int, argument: str) -> int:
    """Finds the process of a rank by its environment and an argument that only it has."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = process.cmdline()
            is_run = line[:1] == [sys.executable] and line[1:3] == ["-m", "trainers.run"]
            is_mine = is_run and any(argument in part for part in line)
            if is_mine and process.environ().get("HOROVOD_RANK") == str(rank):
                return process.pid
    raise AssertionError(f"no process of rank {rank}")


def launch(ranks: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(ranks, *arguments),
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_ranks_agree_with_one_rank_on_the_same_global_batches(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    found = {}
    for ranks in (1, 2, 3):
        out = tmp_path / f"{ranks}.npz"
        done = launch(ranks, STEPS, synthetic_data.folder, out, 60, "adam", "sgd")
        assert done.returncode == 0, done.stdout + done.stderr
        found[ranks] = dict(np.load(out))
    for ranks in (2, 3):
        assert found[ranks].keys() == found[1].keys()
        for name, expected in found[1].items():
            np.testing.assert_allclose(
                found[ranks][name],
                expected,
                atol=1e-12 if name.endswith("metrics") else 1e-5,
                err_msg=f"{name}, {ranks} ranks",
            )


def test_a_run_on_two_ranks_trains_and_evaluates_every_user_once(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    done = launch(2, *tiny_run(synthetic_data, tmp_path), "--epochs=6")
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "metrics.json").read_text())
    split = synthetic_data.split("histories", "test")
    assert results["protocol"]["full"]["users"] == split.rows
    assert (
        results["metrics"]["ndcg@10/sampled99"]
        > results["baseline"]["metrics"]["ndcg@10/sampled99"]
    )


def test_a_stop_signal_to_one_rank_stops_all_and_the_run_goes_on(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    run = [*tiny_run(synthetic_data, tmp_path), "--epochs=400", "--set=trainer.patience=0"]
    with start(2, *run) as process:
        wait_for(tmp_path / "metrics.jsonl", process)
        os.kill(pid_of_rank(1, str(tmp_path)), signal.SIGTERM)
        output = process.communicate(timeout=120)[0]
    assert "Stopped by SIGTERM" in output
    assert "trainers/run.py" not in output, output  # no traceback of ours
    saved = sorted((tmp_path / "checkpoints").glob("step-*"))[-1]
    state = json.loads((saved / "state.json").read_text())
    assert state["ranks"] == 2

    alone = launch(1, *run)
    assert alone.returncode == 2
    assert "1, started with 2" in alone.stderr
    with start(2, *run) as process:
        seen = read_until(process, f"Going on from step {state['step']} of")
        os.kill(pid_of_rank(0, str(tmp_path)), signal.SIGTERM)
        process.communicate(timeout=120)
    assert seen


def test_a_refusal_on_rank_0_ends_all_ranks_without_a_traceback(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("not a run")
    done = launch(2, *tiny_run(synthetic_data, tmp_path))
    assert done.returncode != 0
    assert "must be empty or hold a run" in done.stdout + done.stderr
    assert "trainers/run.py" not in done.stdout + done.stderr  # no traceback of ours


def test_processes_that_horovod_does_not_join_are_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trainers.run", "--model=ncf", f"--model_dir={tmp_path}"],
        cwd=REPOSITORY,
        env={**os.environ, "OMPI_COMM_WORLD_SIZE": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "1 of 2" in done.stderr
    assert "horovodrun -np 2 --gloo" in done.stderr


def test_bad_input_on_all_ranks_ends_them_with_the_message(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    done = launch(
        2, "-m", "trainers.run", "--model=ncf", f"--model_dir={tmp_path}", "--data_dir=nowhere"
    )
    assert done.returncode != 0
    assert "must hold a schema.json" in done.stdout + done.stderr
