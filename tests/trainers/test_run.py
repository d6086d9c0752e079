"""The command, as users run it: train, kill, resume, evaluate, refuse."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from configs.base import EvaluationConfig
from data.assemble import PrepareOptions, prepare
from data.dataset import PreparedDataset
from data.sources import ncf_authors
from data.splits import SplitOptions
from tests.commands import run_module
from trainers.baselines import Popularity
from trainers.ranking_evaluation import RankingEvaluator

REPOSITORY = Path(__file__).parents[2]


def command(data: PreparedDataset, model_dir: Path, *more: str) -> list[str]:
    return [
        "trainers.run",
        "--model=ncf",
        "--recipe=tiny",
        f"--data_dir={data.folder}",
        f"--model_dir={model_dir}",
        *more,
    ]


def final_weights(model_dir: Path) -> dict[str, np.ndarray]:
    best = json.loads((model_dir / "best.json").read_text())["checkpoint"]
    folder = model_dir / "checkpoints" / best
    reader = tf.train.load_checkpoint(str(folder / "weights"))
    dense = {
        key: reader.get_tensor(key)
        for key in reader.get_variable_to_shape_map()
        if "OBJECT_GRAPH" not in key and "SAVE_COUNTER" not in key.upper()
    }
    tables = {str(path.relative_to(folder)): np.load(path) for path in folder.rglob("*.npy")}
    assert len(tables) == 6  # users and items, each with Adam's two moments
    return {**dense, **tables}


def test_tiny_recipe_reaches_most_of_the_best_score(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    done = run_module(*command(synthetic_data, tmp_path / "run", "--epochs=20"))
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "metrics.json").read_text())
    name = "ndcg@10/sampled99"
    assert results["metrics"][name] > 0.75 * results["best_reachable"][name]
    assert results["metrics"]["ndcg@10/full"] > 1.2 * results["baseline"]["metrics"]["ndcg@10/full"]
    assert results["protocol"]["full"]["users"] == synthetic_data.split("histories", "test").rows
    assert "best reachable" in done.stdout
    *table, following, export = done.stdout.splitlines()
    assert following == f"Next: python -m trainers.report {tmp_path / 'run'}"
    assert export.startswith(f"Then: python -m serving.export --model_dir={tmp_path / 'run'} ")
    said = [line for line in done.stderr.splitlines() if line.startswith(("ncf, ", "  other"))]
    assert len(said) == 2
    assert said[1] == "  other than recipe tiny: trainer.epochs=20"
    assert "WARNING: ndcg" not in done.stdout
    assert '"trainer"' not in done.stderr  # all settings are in config.json
    evaluated = run_module(*evaluation(tmp_path / "run"))
    assert evaluated.stdout.splitlines()[1:] == table[1:]


def test_a_later_evaluation_adds_to_what_was_measured(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    done = run_module(*command(synthetic_data, tmp_path, "--epochs=1", "--learning_rate=1e-9"))
    assert done.returncode == 0, done.stderr
    assert "\nWARNING: ndcg@10/sampled99 0." in done.stdout  # it has learned nothing
    assert "The best epoch was the last: more --epochs may do better" in done.stderr
    before = json.loads((tmp_path / "metrics.json").read_text())
    more = ("--set=evaluation.protocols=full", "--set=evaluation.ks=3")
    done = run_module(*evaluation(tmp_path, *more))
    assert "ndcg@3/full" in done.stdout
    after = json.loads((tmp_path / "metrics.json").read_text())
    assert after["metrics"] == {**before["metrics"], **pick(after["metrics"], "@3/full")}
    assert len(pick(after["metrics"], "@3/full")) == 6
    assert after["timings"]["train_seconds"] == before["timings"]["train_seconds"]

    refused = run_module(*evaluation(tmp_path, "--epochs=3", "--set=model.gmf_dim=4"))
    assert refused.returncode == 2
    assert "Received: --epochs --set=model.gmf_dim=4" in refused.stderr


def evaluation(model_dir: Path, *more: str) -> list[str]:
    return ["trainers.run", "--mode=evaluate", f"--model_dir={model_dir}", *more]


def pick(metrics: dict[str, float], ending: str) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name.endswith(ending)}


OFTEN_SAVED = (
    "--epochs=3",
    "--batch_size=64",
    "--set=trainer.checkpoint_steps=20",
    "--set=trainer.steps_per_call=10",
)


@pytest.fixture(scope="module")
def uninterrupted(
    synthetic_data: PreparedDataset, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, np.ndarray]:
    """Returns the weights of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    whole = run_module(*command(synthetic_data, folder, *OFTEN_SAVED))
    assert whole.returncode == 0, whole.stderr
    return final_weights(folder)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_resumes_to_bit_equal_weights(
    synthetic_data: PreparedDataset,
    tmp_path: Path,
    sent: signal.Signals,
    uninterrupted: dict[str, np.ndarray],
) -> None:
    broken = command(synthetic_data, tmp_path / "broken", *OFTEN_SAVED)
    process = subprocess.Popen(
        [sys.executable, "-m", *broken], cwd=REPOSITORY, stderr=subprocess.DEVNULL
    )
    checkpoints = tmp_path / "broken" / "checkpoints"
    deadline = time.monotonic() + 120
    while not list(checkpoints.glob("step-*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, sent)
    assert process.wait() in (-signal.SIGKILL, 143)
    step = int(max(checkpoints.glob("step-*")).name.rpartition("-")[2])
    assert step % 177 != 0  # in the middle of an epoch
    assert not (tmp_path / "broken" / "metrics.json").exists()
    again = run_module(*broken)
    assert again.returncode == 0, again.stderr
    assert f"Going on from step {step}" in again.stderr
    found = final_weights(tmp_path / "broken")
    assert uninterrupted.keys() == found.keys()
    for key, value in uninterrupted.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)


def test_nan_names_the_quantity_and_the_step(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    done = run_module(
        *command(
            synthetic_data,
            tmp_path,
            "--set=trainer.table_learning_rate=1e30",
            "--set=model.table_optimizer=sgd",
        )
    )
    assert done.returncode == 2
    told = re.search(r"'(\S+)' must stay finite.*step (\d+), epoch 1", done.stderr)
    assert told, done.stderr
    # The first step spoils the tables, so the second is the first whose loss is not finite.
    assert told.groups() == ("loss", "2")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set=trainer.epoch=3"], "'trainer.epochs'"),
        (["--recipe=tinny"], "'tiny'"),
        (["--set=trainer.monitor=auc"], "trainer.monitor must be a metric"),
        (["--data_dir=nowhere"], "must hold a schema.json"),
    ],
)
def test_bad_settings_say_what_and_what_to_do(
    synthetic_data: PreparedDataset, tmp_path: Path, options: list[str], message: str
) -> None:
    done = run_module(*command(synthetic_data, tmp_path / "run", "--epochs=1", *options))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_another_config_in_the_same_folder_is_refused(
    synthetic_data: PreparedDataset, tmp_path: Path
) -> None:
    first = run_module(*command(synthetic_data, tmp_path / "run", "--epochs=1"))
    assert first.returncode == 0, first.stderr
    finished = run_module(*command(synthetic_data, tmp_path / "run", "--epochs=1"))
    assert finished.returncode == 2
    assert f"--warm_start={tmp_path / 'run'}; or train anew with --overwrite" in finished.stderr
    (tmp_path / "run" / "metrics.json").unlink()
    other = run_module(*command(synthetic_data, tmp_path / "run", "--epochs=2"))
    assert "trainer.epochs=2, started with 1" in other.stderr
    same = run_module(*command(synthetic_data, tmp_path / "run", "--epochs=1", "--overwrite"))
    assert "Going on from step" in same.stderr  # a run to go on with is never deleted
    again = run_module(*command(synthetic_data, tmp_path / "run", "--epochs=1", "--overwrite"))
    assert again.returncode == 0, again.stderr
    assert "Going on" not in again.stderr


class Constant:
    """Scores everything alike."""

    def __init__(self, items: int) -> None:
        self._items = items

    def scores(self, batch: dict[str, tf.Tensor], items: tf.Tensor) -> tf.Tensor:
        return tf.zeros(tf.shape(items))

    def item_scores(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.zeros([batch["user"].shape[0], self._items])


def test_a_constant_scorer_scores_nothing_anywhere(synthetic_data: PreparedDataset) -> None:
    scorer = Constant(synthetic_data.schema.cardinality("item"))
    config = EvaluationConfig(ks=(1, 10, 50))
    result = RankingEvaluator(
        scorer, synthetic_data, "test", config, ("sampled", "full")
    ).evaluate()
    ranking = {k: v for k, v in result.metrics.items() if "@" in k}
    assert len(ranking) == 36
    assert not any(ranking.values())
    assert result.metrics["tied_targets/sampled99"] == pytest.approx(1, abs=0.02)


def test_popularity_on_the_ncf_split_gives_the_published_numbers(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    source = ncf_authors.NcfOptions(real_data("ncf-ml-1m"))
    options = PrepareOptions(split=SplitOptions(method="given"))
    prepare(ncf_authors.load(source), options, tmp_path / "data")
    data = PreparedDataset(tmp_path / "data")
    popularity = Popularity(data, ("train", "validation"))
    result = RankingEvaluator(popularity, data, "test", EvaluationConfig(), ("sampled",)).evaluate()
    assert result.metrics["hr@10/sampled99"] == pytest.approx(0.4535, abs=0.002)
    assert result.metrics["ndcg@10/sampled99"] == pytest.approx(0.2543, abs=0.002)
    assert result.cards["sampled99"]["users"] == 6040
