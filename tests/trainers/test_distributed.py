"""Real Horovod processes over Gloo: several ranks give what one rank gives."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import tensorflow as tf

from configs.overrides import apply_overrides
from configs.registry import recipe
from data.dataset import PreparedDataset
from data.schema import FIRST_ID
from models.communicator import Communicator
from tests.commands import run_module
from tests.trainers.communication import predicted_bytes, scalars_of
from trainers.distributed import with_ranks
from trainers.verification import first_difference

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.horovod


# Without XLA's or wire's rounding in the signs of gradients near zero, which Adam would enlarge.
_SGD = ["--table_optimizers=sgd", "--placements=sharded"]


def command(ranks: int, *arguments: object) -> list[str]:
    alone = [sys.executable, *map(str, arguments)]
    if ranks == 1:
        return alone
    horovodrun = Path(sys.executable).with_name("horovodrun")
    return [sys.executable, str(horovodrun), "-np", str(ranks), "--gloo", *alone]


def tiny_run(data: PreparedDataset, model_dir: Path) -> list[str]:
    flags = ["--model=ncf", "--recipe=tiny", f"--data_dir={data.folder}"]
    return ["-m", "trainers.run", *flags, f"--model_dir={model_dir}"]


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


@pytest.mark.parametrize(
    ("ranks", "flags"),
    [
        (3, ["--models=ncf"]),
        (2, ["--models=wide_deep,dlrm,vae_cf,bert4rec"]),
        (
            2,
            [
                "--models=ncf",
                "--table_optimizers=adagrad,rowwise_adagrad",
                "--placements=sharded",
            ],
        ),
        (2, [*_SGD, "--models=dlrm", "--precisions=bfloat16,float16", "--xla"]),
    ],
)
def test_ranks_train_the_model_that_one_rank_trains(ranks: int, flags: list[str]) -> None:
    done = launch(ranks, "-m", "trainers.verify_distributed", *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"on {ranks} ranks: all agree with one rank" in done.stdout
    assert done.stdout.count(" agrees") == done.stdout.count("replicated") + done.stdout.count(
        "sharded"
    )


def test_a_difference_is_named() -> None:
    alone = {"table item": np.zeros(3), "dense 0 kernel": np.zeros(2), "metric hr": np.zeros(())}
    close = {**alone, "table item": np.array([0, 9e-6, 0])}
    assert first_difference(alone, close, 1e-5) == (9e-6, "")
    far = {**alone, "dense 0 kernel": np.array([0, 2e-5]), "metric hr": np.array(1e-9)}
    largest, fault = first_difference(alone, far, 1e-5)
    assert (largest, fault) == (2e-5, "'dense 0 kernel' differs by 2e-05, more than 1e-05")
    _, fault = first_difference(alone, {**alone, "metric hr": np.array(1e-9)}, 1e-5)
    assert fault.startswith("'metric hr' differs by 1e-09")
    _, fault = first_difference(alone, {**alone, "table item": np.full(3, np.nan)}, 1e-5)
    assert fault.startswith("'table item' differs by nan")


def test_a_run_on_two_ranks_trains_and_evaluates_every_user_once(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    # Of bfloat16, which Horovod does not know.
    settings = ["trainer.table_dtype=bfloat16", "trainer.placement=sharded,user=replicated"]
    flags = [f"--set={setting}" for setting in (*settings, "trainer.checkpoint_steps=7")]
    done = launch(2, *tiny_run(synthetic_data, tmp_path), "--epochs=6", *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"user +\d+ +\d+ +a copy", done.stderr)
    assert re.search(r"item +\d+ +\d+ +1/2 of its rows", done.stderr)
    config = apply_overrides(recipe("ncf", "tiny"), settings)
    (counted, *_) = scalars_of(tmp_path)["communication/mib_per_step"]
    assert counted * 2**20 == pytest.approx(predicted_bytes(config, synthetic_data, 2), rel=0.05)
    (first, *_) = (tmp_path / "checkpoints").glob("step-*/tables/item")
    names = {path.name for path in first.iterdir()}
    assert {f"values-0000{rank}-of-00002.npy" for rank in (0, 1)} <= names
    results = json.loads((tmp_path / "metrics.json").read_text())
    split = synthetic_data.split("histories", "test")
    assert results["protocol"]["full"]["users"] == split.rows
    users = pl.read_parquet(tmp_path / "evaluation" / "users.parquet")
    stored = np.asarray(synthetic_data.read("histories", "test")["user"]) - FIRST_ID
    np.testing.assert_array_equal(users["user"], synthetic_data.raw_ids("user")[stored])
    for name in ("ndcg@10/sampled99", "hr@5/full"):
        assert np.mean(users[name].to_numpy()) == results["metrics"][name]
    assert results["timings"]["peak_bytes"] > 2**27
    assert (
        results["metrics"]["ndcg@10/sampled99"]
        > results["baseline"]["metrics"]["ndcg@10/sampled99"]
    )
    again = run_module("trainers.run", "--mode=evaluate", f"--model_dir={tmp_path}")
    assert again.returncode == 0, again.stderr
    by_one = json.loads((tmp_path / "metrics.json").read_text())
    assert by_one["metrics"] == pytest.approx(results["metrics"], abs=1e-12)


def test_a_refusal_on_rank_0_ends_all_ranks_without_a_traceback(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("not a run")
    done = launch(2, *tiny_run(synthetic_data, tmp_path))
    assert done.returncode != 0
    assert "must be empty or hold a run" in done.stdout + done.stderr
    assert "trainers/run.py" not in done.stdout + done.stderr  # no traceback of ours


def test_processes_that_horovod_does_not_join_are_refused(tmp_path: Path) -> None:
    flags = ["--model=ncf", f"--model_dir={tmp_path}"]
    done = run_module("trainers.run", *flags, environment={"OMPI_COMM_WORLD_SIZE": "2"})
    assert done.returncode == 2
    assert "1 of 2" in done.stderr
    assert "launch/local.sh 2 --model=" in done.stderr


@pytest.mark.parametrize("kind", [tf.errors.UnknownError, tf.errors.ResourceExhaustedError])
def test_a_fault_that_is_no_lost_rank_ends_an_elastic_run(
    kind: type[tf.errors.OpError], monkeypatch: pytest.MonkeyPatch
) -> None:
    import horovod.tensorflow as hvd

    one: dict[str, Any] = {"init": lambda: None, "size": lambda: 1, "local_size": lambda: 1}
    one |= {"rank": lambda: 0, "local_rank": lambda: 0, "broadcast_object": hvd.broadcast_object}
    alone = SimpleNamespace(elastic=hvd.elastic, **one)  # not initialised in this process
    monkeypatch.setattr("trainers.distributed._horovod", lambda: alone)
    monkeypatch.setenv("HOROVOD_ELASTIC", "1")
    attempts = []

    def work(communicator: Communicator) -> None:
        attempts.append(communicator.size)
        raise kind(None, None, "data/train-00000.tfrecord; Input/output error")

    with pytest.raises(kind, match="Input/output error"):
        with_ranks(work)
    assert attempts == [1]
