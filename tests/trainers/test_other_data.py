"""Yesterday's model on today's dataset: it answers as it would if it were served."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tensorflow as tf

from configs.base import EvaluationConfig
from configs.runs import TrainedRun, load_run
from data.dataset import PreparedDataset
from data.schema import FIRST_ID
from models.communicator import Communicator
from tests.trainers.renumbered import ids_of, prepared, random_run, scores_by_raw_id
from trainers.final_evaluation import evaluate_run
from trainers.other_data import OnOtherData


@pytest.fixture(scope="module")
def yesterday(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return prepared(tmp_path_factory.mktemp("yesterday") / "data", range(30), range(24), 0)


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Returns a log without some users and items of yesterday's and with others, shuffled."""
    return prepared(tmp_path_factory.mktemp("today") / "data", range(4, 38), range(5, 33), 1)


@pytest.fixture(scope="module", params=["bert4rec", "dlrm", "ease", "item_knn", "ncf", "vae_cf"])
def run(
    request: pytest.FixtureRequest,
    yesterday: PreparedDataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> TrainedRun:
    folder = tmp_path_factory.mktemp("runs") / request.param
    random_run(request.param, yesterday, folder)
    return load_run(folder)


def raw(numbers: range, letter: str) -> list[str]:
    return [f"{letter}{n}" for n in numbers]


def test_known_ids_score_as_they_did_and_unknown_items_never_rank(
    run: TrainedRun, today: PreparedDataset
) -> None:
    scorer = OnOtherData(run, today)
    assert scorer.unknown["item"] == 9
    users, items = raw(range(4, 30), "u"), raw(range(5, 24), "i")
    asked = scores_by_raw_id(run.model, run.data, users, items)
    np.testing.assert_allclose(scores_by_raw_id(scorer, today, users, items), asked, 1e-6, 1e-6)
    everything = raw(range(5, 33), "i")
    some = scores_by_raw_id(scorer, today, users[:3], everything)
    assert (some[:, 19:] == -np.inf).all()
    assert np.isfinite(some[:, :19]).all()
    batch = {
        "user": tf.constant(ids_of(today, "user", users[:3])),
        "seen_item": tf.constant([ids_of(today, "item", items[:5])] * 3),
    }
    of_items = tf.constant([ids_of(today, "item", everything)] * 3)
    whole = tf.gather(scorer.item_scores(batch), of_items, batch_dims=1)
    np.testing.assert_allclose(scorer.scores(batch, of_items), whole, 1e-5, 1e-5)


def test_strangers_get_what_was_popular(run: TrainedRun, today: PreparedDataset) -> None:
    scorer, items = OnOtherData(run, today), raw(range(5, 24), "i")
    batch = {
        "user": tf.constant(ids_of(today, "user", ["u35"])),
        "seen_item": tf.constant([ids_of(today, "item", ["i30", "i31"])]),
    }
    counts = run.data.item_counts(("train",))[ids_of(run.data, "item", items)]
    places = ids_of(today, "item", items)
    np.testing.assert_array_equal(scorer.item_scores(batch).numpy()[0, places], counts)
    np.testing.assert_array_equal(scorer.scores(batch, tf.constant([places]))[0], counts)


def test_results_have_a_file_of_their_own(
    yesterday: PreparedDataset,
    today: PreparedDataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    random_run("ncf", yesterday, tmp_path / "run")
    run = load_run(tmp_path / "run")
    settings = EvaluationConfig(ks=(5,), batch_size=16)
    evaluate_run(run.folder, None, {}, settings, Communicator())
    own = (run.folder / "metrics.json").read_bytes()
    capsys.readouterr()
    evaluate_run(run.folder, today.folder, {}, settings, Communicator())
    path = run.folder / f"metrics-on-{today.schema_sha256[:8]}.json"
    said = capsys.readouterr().out.splitlines()
    assert f"ids that {run.folder} does not know: user 8, item 9" in said
    assert said[-1] == f"written to {path}"
    assert (run.folder / "metrics.json").read_bytes() == own
    results = json.loads(path.read_text())
    details = run.folder / path.stem.replace("metrics", "evaluation")
    users = pl.read_parquet(details / "users.parquet")
    assert users["user"].to_list() == raw_users(today, "test")
    assert users["hr@5/full"].mean() == pytest.approx(results["metrics"]["hr@5/full"])
    own_users = pl.read_parquet(run.folder / "evaluation" / "users.parquet")
    assert own_users["user"].to_list() == raw_users(yesterday, "test")
    assert results["evaluated_on"]["schema_sha256"] == today.schema_sha256
    assert results["protocol"]["full"]["users"] == today.split("histories", "test").rows
    # A target that the model does not know is a miss, so no more can be hit than are known.
    histories = today.read("histories", "test")
    targets = histories["item"].values - FIRST_ID  # type: ignore[union-attr]
    known = np.isin(today.raw_ids("item")[targets], run.data.raw_ids("item")).mean()
    assert known < 1
    assert results["metrics"]["hr@5/full"] <= known
    trained = {
        (user, item) for user, items in raw_histories(run.data, "train").items() for item in items
    }
    moved = sum(
        (user, item) in trained
        for user, items in raw_histories(today, "test").items()
        for item in items
    )
    assert results["trained_targets"] == moved > 0  # both logs are drawn by chance
    assert said[-2].startswith(f"WARNING: {moved} targets are pairs")


def raw_users(data: PreparedDataset, split: str) -> list[str]:
    users = data.read("histories", split)["user"]
    return [str(raw) for raw in data.raw_ids("user")[users - FIRST_ID]]  # type: ignore[operator]


def raw_histories(data: PreparedDataset, split: str) -> dict[str, list[str]]:
    histories = data.read("histories", split)
    items, users = histories["item"], histories["user"]
    parts = np.split(items.values, np.cumsum(items.lengths)[:-1])  # type: ignore[union-attr]
    return {
        str(data.raw_ids("user")[user - FIRST_ID]): [
            str(data.raw_ids("item")[item - FIRST_ID]) for item in part if item >= FIRST_ID
        ]
        for user, part in zip(users, parts, strict=True)  # type: ignore[arg-type]
    }
