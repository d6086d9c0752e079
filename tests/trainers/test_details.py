"""The files that the final evaluation leaves in the run: their means are those of metrics.json."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from configs.base import EvaluationConfig
from configs.registry import build_model, recipe
from configs.results import results_file
from configs.runs import TrainedRun
from data.dataset import PreparedDataset
from models.communicator import Communicator
from trainers import details
from trainers.click_details import ClickDetails
from trainers.results import final_results, write_results


@pytest.fixture(scope="module")
def untrained(
    synthetic_data: PreparedDataset, tmp_path_factory: pytest.TempPathFactory
) -> TrainedRun:
    """Returns a run whose weights are those that it starts from."""
    config = recipe("ncf", "tiny")
    model = build_model(config, synthetic_data)
    return TrainedRun(tmp_path_factory.mktemp("run"), config, synthetic_data, model, 0)


def evaluate(run: TrainedRun, **evaluation: object) -> dict[str, float]:
    settings = replace(run.config.evaluation, **evaluation)  # type: ignore[arg-type]
    run = replace(run, config=replace(run.config, evaluation=settings))
    results = final_results(run, {}, Communicator(), run.folder / "evaluation")
    write_results(results_file(run.folder), results)
    return results["metrics"]


def test_means_of_the_users_are_the_metrics_and_a_later_evaluation_adds_columns(
    untrained: TrainedRun,
) -> None:
    first = evaluate(untrained, protocols=("sampled", "full"), ks=(5, 10))
    path = untrained.folder / "evaluation" / "users.parquet"
    users = pl.read_parquet(path)
    measured = [name for name in first if not name.startswith("tied_targets")]
    assert len(measured) == 2 * 2 * 6
    for name in measured:
        assert np.mean(users[name].to_numpy()) == first[name]
    data = untrained.data
    assert len(users) == data.split("histories", "test").rows
    assert set(users["user"]) <= set(data.raw_ids("user").tolist())
    of_one = users.filter(pl.col("targets") == 1)
    ranks = of_one["ranks/full"].list.first().fill_null(np.inf).to_numpy()
    np.testing.assert_array_equal(of_one["hr@5/full"].to_numpy(), ranks <= 5)

    second = evaluate(untrained, protocols=("full",), ks=(3,))
    both = pl.read_parquet(path)
    assert np.mean(both["hr@3/full"].to_numpy()) == second["hr@3/full"]
    kept = [name for name in users.columns if name != "ranks/full"]
    assert both.select(kept).equals(users.select(kept))
    items = pl.read_parquet(untrained.folder / "evaluation" / "items.parquet")
    assert {"hits@3/full", "recommended@3/full", "recommended@10/full"} <= set(items.columns)
    assert items["recommended@3/full"].sum() == 3 * len(users)
    np.testing.assert_array_equal(items["events"], data.item_counts(["train"])[2:])
    assert [path.name for path in untrained.folder.glob(".*")] == []


def test_users_are_written_some_after_the_other(
    untrained: TrainedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate(untrained, protocols=("full",), ks=(5,))
    path = untrained.folder / "evaluation" / "users.parquet"
    expected = pl.read_parquet(path)
    monkeypatch.setattr("trainers.user_ranks._USERS_AT_ONCE", 64)
    again = evaluate(untrained, protocols=("full",), ks=(5,))
    assert again == pytest.approx(whole, rel=1e-14)
    assert pl.read_parquet(path).equals(expected)


def test_rows_of_a_click_task_are_kept_unless_they_are_too_many(
    synthetic_data: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.array([0, 1, 1, 0, 1], np.float32)
    found = ClickDetails(labels, np.linspace(-1, 2, 5, dtype=np.float32))
    folder = tmp_path / "evaluation"
    details.write_details(folder, found, synthetic_data, ("train",))
    rows = pl.read_parquet(folder / "rows.parquet")
    assert rows["label"].to_list() == labels.tolist()
    np.testing.assert_array_equal(rows["logit"], found.logits)
    assert pl.read_parquet(folder / "calibration.parquet")["clicks"].sum() == 3
    monkeypatch.setattr(details, "MOST_ROWS", 4)
    details.write_details(folder, found, synthetic_data, ("train",))
    assert [path.name for path in folder.iterdir()] == ["calibration.parquet"]


def test_nothing_is_written_where_nothing_is_asked_for(
    untrained: TrainedRun, tmp_path: Path
) -> None:
    run = replace(untrained, folder=tmp_path)
    settings = EvaluationConfig(ks=(5,), protocols=("sampled",))
    run = replace(run, config=replace(run.config, evaluation=settings))
    final_results(run, {}, Communicator())
    assert list(tmp_path.iterdir()) == []
