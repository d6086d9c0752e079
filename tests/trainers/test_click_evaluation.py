"""The evaluation of a click task: each row once, whatever the batches, and its slices."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from configs.base import EvaluationConfig, RunConfig
from configs.results import read_results
from configs.runs import TrainedRun
from data.atomic import write_json
from data.blocks import ColumnData, write_split
from data.dataset import PreparedDataset
from data.errors import InputError
from data.pipeline import Batch, Transform
from data.schema import SCHEMA_FILE, Column, Feature, Kind, Schema, View
from models.communicator import Communicator
from tests.trainers.threaded_ranks import on_ranks
from trainers.board.writer import BoardWriter
from trainers.click_details import ClickDetails
from trainers.click_evaluation import ClickEvaluator
from trainers.click_metrics import NAMES, click_metrics
from trainers.reporting import Reporter
from trainers.result import Result
from trainers.results import final_results, results_table, write_results
from trainers.train_state import TrainState

ROWS = {"train": 200, "validation": 53, "test": 101}
COLOURS = ("red", "green", "blue")
DTYPES = {
    "user": "int32",
    "item": "int32",
    "label": "float32",
    "colour": "int32",
    "price": "float32",
}
COLUMNS = tuple(Column(name, name) for name in DTYPES)


def feature(name: str, kind: Kind, folder: Path, raw: list[str]) -> Feature:
    """Writes a vocabulary. Returns its feature."""
    (folder / "vocab").mkdir(exist_ok=True)
    (folder / f"vocab/{name}.txt").write_text("".join(f"{line}\n" for line in raw))
    return Feature(name, kind, "int32", len(raw) + 2, f"vocab/{name}.txt", "string")


def rows_of(split: str) -> dict[str, ColumnData]:
    """Returns random rows; every row of the colour 3 ("green") is a click."""
    rng, rows = np.random.default_rng(ROWS[split]), ROWS[split]
    colour = rng.choice([1, 2, 3, 4], rows, p=[0.1, 0.5, 0.1, 0.3]).astype(np.int32)
    clicked = (rng.random(rows) < 0.4) | (colour == 3)
    return {
        "user": rng.integers(2, 7, rows).astype(np.int32),
        "item": rng.integers(2, 12, rows).astype(np.int32),
        "label": clicked.astype(np.float32),
        "colour": colour,
        "price": rng.normal(size=rows).astype(np.float32),
    }


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Returns labelled rows, with an item attribute `size`."""
    folder = tmp_path_factory.mktemp("clicks")
    features = (
        feature("user", Kind.USER, folder, [f"u{n}" for n in range(5)]),
        feature("item", Kind.ITEM, folder, [f"i{n}" for n in range(10)]),
        feature("colour", Kind.CATEGORICAL, folder, list(COLOURS)),
        feature("size", Kind.CATEGORICAL, folder, ["small", "large"]),
        Feature("label", Kind.LABEL, "float32"),
        Feature("price", Kind.NUMERIC, "float32"),
    )
    splits = {
        split: write_split(
            folder, "rows", split, COLUMNS, DTYPES, rows_of(split), block_rows=16, max_shards=3
        )
        for split in ROWS
    }
    size = np.array([0, 1, *([2, 3] * 5)], np.int32)
    items: dict[str, ColumnData] = {"item": np.arange(12, dtype=np.int32), "size": size}
    columns = (Column("item", "item"), Column("size", "size"))
    dtypes = {"item": "int32", "size": "int32"}
    attributes = write_split(
        folder, "items", "all", columns, dtypes, items, block_rows=16, max_shards=1
    )
    views = {"rows": View(COLUMNS, splits), "items": View(columns, {"all": attributes})}
    write_json(folder / SCHEMA_FILE, Schema("clicks", features, views).to_json())
    return PreparedDataset(folder)


class Linear:
    """A logit from columns of the row; nothing is learned."""

    def transforms(self, data: PreparedDataset, splits: object, training: bool) -> list[Transform]:
        assert not training
        return [lambda batch, seed: {**batch, "doubled": 2 * batch["price"]}]

    def __call__(self, batch: Batch) -> tf.Tensor:
        of_item = tf.cast(batch["item"], tf.float32) / 10
        return batch["doubled"] + of_item

    def parameter_count(self) -> int:
        return 0


def logits_of(rows: dict[str, Any]) -> np.ndarray:
    return 2 * rows["price"] + rows["item"].astype(np.float32) / 10


def evaluate(data: PreparedDataset, batch_size: int, *slices: str, split: str = "test") -> Result:
    config = EvaluationConfig(click_batch_size=batch_size, slices=slices)
    return ClickEvaluator(Linear(), data, split, config).evaluate()


@pytest.mark.parametrize("batch_size", [7, 50, 101, 4096])
def test_each_row_counts_once_whatever_the_batches(
    clicks: PreparedDataset, batch_size: int
) -> None:
    rows = rows_of("test")
    expected = click_metrics(np.asarray(rows["label"]), logits_of(rows))
    found = evaluate(clicks, batch_size).metrics
    assert list(found) == list(NAMES)
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_the_rows_and_join_them_in_stored_order(
    clicks: PreparedDataset, ranks: int
) -> None:
    config = EvaluationConfig(click_batch_size=32)

    def work(communicator: Communicator) -> Result:
        return ClickEvaluator(Linear(), clicks, "test", config, communicator, True).evaluate()

    rows = clicks.read("rows", "test")
    expected = evaluate(clicks, 32).metrics
    for found in on_ranks(ranks, work):
        assert found.metrics == expected
        assert isinstance(found.details, ClickDetails)
        np.testing.assert_array_equal(found.details.labels, rows["label"])
        np.testing.assert_allclose(found.details.logits, logits_of(rows), rtol=1e-6)


def test_slices_add_up_and_are_the_metrics_of_their_rows(clicks: PreparedDataset) -> None:
    table = evaluate(clicks, 32, "colour", "size").slices["colour"]
    rows = rows_of("test")
    colour, labels, logits = np.asarray(rows["colour"]), np.asarray(rows["label"]), logits_of(rows)
    assert sum(row["rows"] for row in table) == ROWS["test"]
    assert [row["rows"] for row in table] == sorted((r["rows"] for r in table), reverse=True)
    assert {row["value"] for row in table} == {"(unknown)", *COLOURS}
    for row in table:
        mine = colour == (1 if row["value"] == "(unknown)" else 2 + COLOURS.index(row["value"]))
        expected = click_metrics(labels[mine], logits[mine])
        assert {name: row[name] for name in NAMES} == pytest.approx(expected, rel=1e-6, nan_ok=True)
        assert row["rows"] == mine.sum()


def test_rows_are_sliced_by_what_is_known_of_their_items(clicks: PreparedDataset) -> None:
    table = evaluate(clicks, 32, "colour", "size").slices["size"]
    even = np.asarray(rows_of("test")["item"]) % 2 == 0
    assert {row["value"]: row["rows"] for row in table} == {
        "small": even.sum(),
        "large": (~even).sum(),
    }


def test_the_card_says_what_was_evaluated(clicks: PreparedDataset) -> None:
    labels = np.asarray(clicks.read("rows", "test")["label"])
    card = evaluate(clicks, 32).cards["click"]
    assert card == {
        "dataset": "clicks",
        "split": "test",
        "rows": 101,
        "clicks": int(labels.sum()),
        "labels_sha256": hashlib.sha256(labels.astype("<f4").tobytes()).hexdigest(),
    }
    assert evaluate(clicks, 7).cards["click"] == card
    assert evaluate(clicks, 7, split="validation").cards["click"] != card


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("color", r"must name features of the data.*'color'.*Did you mean 'colour'"),
        ("siz", r"must name features of the data.*Did you mean 'size'"),
        ("price", r"must name categorical features.*'price', which is numeric"),
        ("label", r"must name categorical features.*'label', which is label"),
    ],
)
def test_what_rows_cannot_be_sliced_by_is_refused(
    clicks: PreparedDataset, name: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(clicks, 32, "colour", name)


def test_a_split_that_is_not_there_is_refused(clicks: PreparedDataset) -> None:
    with pytest.raises(InputError, match=r"must have the split.*'tset'.*'test'"):
        evaluate(clicks, 32, split="tset")


def strict_json(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_undefined_metrics_are_null_in_the_files_and_words_in_the_table(
    clicks: PreparedDataset, tmp_path: Path
) -> None:
    evaluation = EvaluationConfig(slices=("colour",))
    config = RunConfig("linear", "tiny", None, evaluation=evaluation)
    run = TrainedRun(tmp_path, config, clicks, Linear(), 3)  # type: ignore[arg-type]
    results = final_results(run, {}, Communicator())
    write_results(tmp_path / "metrics.json", results)
    written = strict_json((tmp_path / "metrics.json").read_text())
    green = next(row for row in written["slices"]["colour"] if row["value"] == "green")
    assert green["auc"] is None
    assert green["logloss"] > 0
    for shown in (results, read_results(tmp_path / "metrics.json")):
        (line,) = (n for n in results_table(shown, (10,)).splitlines() if n.startswith("  green"))
        assert line.split()[2] == "undefined"
    one_class = {**results, "metrics": {**results["metrics"], "auc": None}}
    assert "undefined" in results_table(one_class, (10,)).splitlines()[2]
    reporter = Reporter(tmp_path, 0, 1, BoardWriter(tmp_path))
    reporter.validation(TrainState(step=1), "auc", {"auc": float("nan"), "logloss": 0.5})
    reporter.close()
    line = strict_json((tmp_path / "metrics.jsonl").read_text())
    assert line["metrics"] == {"auc": None, "logloss": 0.5}
