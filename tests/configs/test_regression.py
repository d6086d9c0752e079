"""The gate of a retrain: what passes, what is refused, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from configs.regression import RegressionError, Tolerance, check_not_worse, parse_tolerance
from data.errors import InputError

CARD = {"dataset": "movies", "split": "test", "candidates_sha256": "aa"}
TODAY, YESTERDAY = "1" * 64, "0" * 64
ON_TODAY = "metrics-on-11111111.json"


def write_run(
    folder: Path,
    metrics: dict[str, float | None],
    *,
    sha256: str = TODAY,
    file: str = "metrics.json",
    card: dict[str, Any] | None = None,
    evaluated_on: str = "",
) -> Path:
    folder.mkdir(exist_ok=True)
    data = {"folder": f"/data/{sha256[0]}", "schema_sha256": sha256}
    (folder / "config.json").write_text(json.dumps({"data": data}))
    cards = {"full": card or CARD, "click": card or CARD}
    results: dict[str, Any] = {"metrics": metrics, "protocol": cards}
    if evaluated_on:
        results["evaluated_on"] = {"schema_sha256": evaluated_on}
    (folder / file).write_text(json.dumps(results))
    return folder


def pair(
    tmp_path: Path, ours: dict[str, float | None], theirs: dict[str, float | None], **more: Any
) -> tuple[Path, Path]:
    run = write_run(tmp_path / "run", ours)
    evaluated = {"file": ON_TODAY, "evaluated_on": TODAY, **more}
    return run, write_run(tmp_path / "old", theirs, sha256=YESTERDAY, **evaluated)


@pytest.mark.parametrize(
    ("metric", "ours", "theirs", "allowed", "is_worse"),
    [
        ("ndcg@10/full", 0.20, 0.21, 0.005, True),
        ("ndcg@10/full", 0.206, 0.21, 0.005, False),
        ("ndcg@10/full", 0.30, 0.21, 0.0, False),
        ("logloss", 0.41, 0.40, 0.005, True),
        ("logloss", 0.30, 0.40, 0.0, False),
        ("calibration", 0.90, 1.05, 0.01, True),
        ("calibration", 1.04, 0.95, 0.0, False),
        ("auc", 0.8, 0.8, 0.0, False),
    ],
)
def test_worse_is_what_the_metric_calls_worse(
    tmp_path: Path, metric: str, ours: float, theirs: float, allowed: float, is_worse: bool
) -> None:
    run, old = pair(tmp_path, {metric: ours}, {metric: theirs})
    if not is_worse:
        assert check_not_worse(run, old, [Tolerance(metric, allowed)]) == [
            f"{metric} {ours:g}, of {old} {theirs:g}"
        ]
        return
    with pytest.raises(RegressionError) as error:
        check_not_worse(run, old, [Tolerance(metric, allowed)])
    assert f"{metric} {ours:g}, of {old} {theirs:g}: worse by 0." in str(error.value)
    assert str(error.value).endswith(f"at most {allowed:g} allowed")


def test_every_metric_that_is_worse_is_named(tmp_path: Path) -> None:
    run, old = pair(tmp_path, {"auc": 0.7, "logloss": 0.5}, {"auc": 0.8, "logloss": 0.4})
    with pytest.raises(RegressionError, match=r"auc 0\.7, .*; logloss 0\.5, "):
        check_not_worse(run, old, [Tolerance("auc", 0.0), Tolerance("logloss", 0.0)])


def test_a_baseline_of_the_same_dataset_is_compared_as_it_is(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"auc": 0.8})
    other = write_run(tmp_path / "other", {"auc": 0.7})
    assert len(check_not_worse(run, other, [Tolerance("auc", 0.0)])) == 1


def test_a_baseline_that_was_not_evaluated_on_the_data_is_refused(tmp_path: Path) -> None:
    run, old = pair(tmp_path, {"auc": 0.8}, {"auc": 0.7}, file="metrics.json", evaluated_on="")
    with pytest.raises(InputError, match="evaluated on the dataset of the run") as error:
        check_not_worse(run, old, [Tolerance("auc", 0.0)])
    command = f"trainers.run --mode=evaluate --model_dir={old} --data_dir=/data/1"
    assert command in str(error.value)
    # Another dataset whose hash begins alike.
    pair(tmp_path, {"auc": 0.8}, {"auc": 0.7}, evaluated_on="1" * 63 + "2")
    with pytest.raises(InputError, match="evaluated on the dataset of the run"):
        check_not_worse(run, old, [Tolerance("auc", 0.0)])


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    metric = Tolerance("ndcg@10/full", 0.0)
    run, old = pair(
        tmp_path,
        {"ndcg@10/full": 0.2},
        {"ndcg@10/full": 0.1},
        card={**CARD, "candidates_sha256": "bb"},
    )
    with pytest.raises(InputError, match=r"'aa' in .*run and 'bb' in .*candidates_sha256"):
        check_not_worse(run, old, [metric])
    run, old = pair(tmp_path, {"ndcg@10/full": 0.2}, {"ndcg@5/full": 0.1})
    with pytest.raises(InputError, match=rf"Received: 'ndcg@10/full' in {old}.*'ndcg@5/full'"):
        check_not_worse(run, old, [metric])
    run, old = pair(tmp_path, {"auc": None}, {"auc": 0.1})
    with pytest.raises(InputError, match=rf"be defined\. Received: 'auc' in {run}"):
        check_not_worse(run, old, [Tolerance("auc", 0.0)])
    (run / "metrics.json").unlink()
    with pytest.raises(InputError, match="must have been evaluated"):
        check_not_worse(run, old, [Tolerance("auc", 0.0)])


def test_tolerances_are_read() -> None:
    assert parse_tolerance("ndcg@10/full:0.005") == Tolerance("ndcg@10/full", 0.005)
    for text in ("auc", "auc:", "auc:-1", "auc:nan", ":0.1", "auc:inf"):
        with pytest.raises(InputError, match=r"must be METRIC:NUMBER"):
            parse_tolerance(text)
