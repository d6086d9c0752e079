"""Real Horovod processes over Gloo: several ranks give what one rank gives."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
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


def launch(ranks: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    if ranks > 1:
        horovodrun = Path(sys.executable).with_name("horovodrun")
        command = [sys.executable, str(horovodrun), "-np", str(ranks), "--gloo", *command]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_ranks_agree_with_one_rank_on_the_same_global_batches(
    synthetic_data: PreparedDataset, tmp_path: Path, optimizer: str
) -> None:
    found = {}
    for ranks in (1, 2, 3):
        out = tmp_path / f"{ranks}.npz"
        done = launch(ranks, STEPS, synthetic_data.folder, out, 60, optimizer)
        assert done.returncode == 0, done.stdout + done.stderr
        found[ranks] = dict(np.load(out))
    for ranks in (2, 3):
        for name, expected in found[1].items():
            np.testing.assert_allclose(
                found[ranks][name], expected, atol=1e-5, err_msg=f"{name}, {ranks} ranks"
            )


def test_a_run_on_two_ranks_trains_evaluates_and_resumes(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    run = [
        "-m",
        "trainers.run",
        "--model=ncf",
        "--recipe=tiny",
        f"--data_dir={synthetic_data.folder}",
        f"--model_dir={tmp_path}",
    ]
    done = launch(2, *run)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "metrics.json").read_text())
    split = synthetic_data.split("histories", "test")
    assert results["protocol"]["full"]["users"] == split.rows
    assert results["metrics"]["ndcg@10/sampled99"] > results["popularity"]["ndcg@10/sampled99"]


def test_bad_input_on_all_ranks_ends_them_with_the_message(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    done = launch(
        2, "-m", "trainers.run", "--model=ncf", f"--model_dir={tmp_path}", "--data_dir=nowhere"
    )
    assert done.returncode != 0
    assert "must hold a schema.json" in done.stdout + done.stderr
