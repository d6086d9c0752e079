"""Synthetic clicks: the rows that were asked for, and a best AUC that is just that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.engine.engines import LocalEngine
from data.engine.prepare_table import prepare_table
from data.engine.stages import TableOptions
from data.errors import InputError
from data.spec.parsing import load_spec
from data.synthetic_clicks import ClickModel, ClickTruth
from data.synthetic_output import SynthesisOptions, synthesize
from data.synthetic_shape import ClickShape, parse_shape
from tests.data.raw_files import says

ROWS = 40_000  # of three blocks
SHAPE = parse_shape(
    {
        "numeric": {"price": {"median": 20, "missing": 0.3}, "age": {"median": 3, "spread": 0.5}},
        "categorical": {
            "product": {"cardinality": 50, "zipf": 1},
            "city": {"cardinality": 20, "zipf": 0, "missing": 0.1},
            "tags": {"cardinality": 30, "hotness": [0, 3], "missing": 0.2},
            "pair": {"cardinality": 40, "hotness": 2},
            "noise": {"cardinality": 10, "zipf": 0.5, "weight": 0},
        },
    },
    "shape.yaml",
)


def write(out: Path, rows: int = ROWS, shape: ClickShape = SHAPE, **options: Any) -> dict[str, Any]:
    return synthesize(shape, SynthesisOptions(rows, **options), out).truth


def read(path: Path) -> pl.DataFrame:
    """Returns the columns of a TSV file as texts; null is missing."""
    return pl.read_csv(
        path,
        separator="\t",
        has_header=False,
        new_columns=SHAPE.names,
        infer_schema=False,
        quote_char=None,
    )


@pytest.fixture(scope="module")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Returns the rows of one file, and the truth about them."""
    path = tmp_path_factory.mktemp("clicks") / "clicks.tsv"
    truth = write(path)
    return read(path), truth


@pytest.fixture(scope="module")
def truths() -> tuple[np.ndarray, np.ndarray]:
    """Returns the labels of the same rows, and their true probabilities."""
    blocks = list(ClickModel(SHAPE, 0).blocks(0, ROWS))
    labels, logits = (np.concatenate([getattr(b, n) for b in blocks]) for n in ("labels", "logits"))
    return labels, 1 / (1 + np.exp(-(logits / 1024 - 16)))


def test_number_of_files_changes_nothing_else(tmp_path: Path) -> None:
    truth = write(tmp_path / "one.tsv")
    assert write(tmp_path / "three", files=3) == truth
    files = sorted((tmp_path / "three").glob("part-*.tsv"))
    assert [len(read(file)) for file in files] == [13_333, 13_333, 13_334]
    whole = (tmp_path / "one.tsv").read_bytes()
    assert b"".join(file.read_bytes() for file in files) == whole
    assert json.loads((tmp_path / "three" / "truth.json").read_text()) == truth
    assert json.loads((tmp_path / "one.truth.json").read_text()) == truth


def test_a_row_depends_on_its_number_and_the_seed_alone(tmp_path: Path) -> None:
    write(tmp_path / "many.tsv")
    write(tmp_path / "few.tsv", rows=1_000)
    write(tmp_path / "other.tsv", rows=1_000, seed=1)
    many, few, other = (read(tmp_path / f"{name}.tsv") for name in ("many", "few", "other"))
    assert many.head(1_000).equals(few)
    assert not set(few["product"]) & set(other["product"])
    start, stop = 16_000, 17_000  # over the end of a block
    part = np.concatenate([b.labels for b in ClickModel(SHAPE, 0).blocks(start, stop)])
    assert part.tolist() == many["label"][start:stop].cast(pl.Int8).to_list()


def test_formats_hold_the_same_rows(
    clicks: tuple[pl.DataFrame, dict[str, Any]], tmp_path: Path
) -> None:
    write(tmp_path / "c.csv")
    assert pl.read_csv(tmp_path / "c.csv", infer_schema=False).equals(clicks[0])
    write(tmp_path / "c.parquet")
    table = pl.read_parquet(tmp_path / "c.parquet")
    assert table["tags"].dtype == pl.List(pl.String)
    joined = table.with_columns(pl.col("tags", "pair").list.join("|").replace("", None))
    assert joined.cast(pl.String).equals(clicks[0])


def test_columns_are_as_asked(clicks: tuple[pl.DataFrame, dict[str, Any]]) -> None:
    frame = clicks[0]
    shares = {name: frame[name].null_count() / ROWS for name in frame.columns}
    expected = dict.fromkeys(frame.columns, 0.0) | {"price": 0.3, "city": 0.1}
    expected["tags"] = 0.2 + 0.8 / 4  # a fourth of the lists is of length 0
    assert shares == pytest.approx(expected, abs=0.01)
    assert {name: frame[name].drop_nulls().n_unique() for name in ("product", "city", "noise")} == {
        "product": 50,
        "city": 20,
        "noise": 10,
    }
    tags = (
        frame["tags"]
        .fill_null("")
        .str.split("|")
        .list.eval(pl.element().filter(pl.element() != ""))
    )
    assert tags.explode(keep_nulls=False, empty_as_null=False).n_unique() == 30
    lengths = tags.list.len().value_counts().sort("tags")
    assert (lengths["count"] / ROWS).to_list() == pytest.approx([0.4, 0.2, 0.2, 0.2], abs=0.01)
    assert frame["pair"].str.contains(r"^[0-9a-f]{8}\|[0-9a-f]{8}$").all()
    price = frame["price"].cast(pl.Int64)
    assert price.median() == pytest.approx(20, abs=1)
    assert (price <= 60).sum() / price.count() == pytest.approx(0.75, abs=0.01)  # u / (1 - u) = 3
    assert price.min() == 0


def test_best_scores_are_those_of_the_true_probabilities(
    clicks: tuple[pl.DataFrame, dict[str, Any]], truths: tuple[np.ndarray, np.ndarray]
) -> None:
    labels, true = truths
    truth = clicks[1]
    assert truth["rows"] == ROWS
    assert labels.tolist() == clicks[0]["label"].cast(pl.Int8).to_list()
    assert truth["best_auc"] == pytest.approx(roc_auc_score(labels, true), abs=1e-12)
    assert truth["best_logloss"] == pytest.approx(log_loss(labels, true), abs=1e-12)
    assert truth["click_rate"] == pytest.approx(labels.mean(), abs=1e-12)
    assert 0.75 < truth["best_auc"] < 0.85
    assert true.mean() == pytest.approx(SHAPE.click_rate, abs=0.005)
    buckets = np.digitize(true, np.quantile(true, np.arange(0.1, 1, 0.1)))
    for bucket in range(10):
        mine = buckets == bucket
        assert labels[mine].mean() == pytest.approx(true[mine].mean(), abs=0.03)


def test_logistic_regression_comes_near_the_best_and_no_further(
    clicks: tuple[pl.DataFrame, dict[str, Any]], truths: tuple[np.ndarray, np.ndarray]
) -> None:
    frame, (labels, true) = clicks[0], truths
    counts = frame.select(pl.col("price", "age").cast(pl.Float64)).fill_null(0).to_numpy()
    ids = [category_shares(frame[column.name]) for column in SHAPE.categorical]
    inputs = np.concatenate([np.log1p(counts), *ids], axis=1)
    train, test = slice(0, 30_000), slice(30_000, None)
    model = LogisticRegression(C=10, max_iter=300).fit(inputs[train], labels[train])
    reached = roc_auc_score(labels[test], model.predict_proba(inputs[test])[:, 1])
    best = roc_auc_score(labels[test], true[test])
    assert best - 0.01 < reached < best + 0.003


def category_shares(texts: pl.Series) -> np.ndarray:
    """Returns the share of each category in each row: one-hot, or the mean over a list."""
    lists = pl.DataFrame({"raw": texts.str.split("|")}).with_row_index("row")
    flat = lists.explode("raw").drop_nulls()
    codes = flat["raw"].rank("dense").to_numpy() - 1
    counts = np.zeros((len(texts), codes.max() + 1))
    np.add.at(counts, (flat["row"].to_numpy(), codes), 1)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def test_column_without_weight_says_nothing(clicks: tuple[pl.DataFrame, dict[str, Any]]) -> None:
    frame, truth = clicks
    rates = frame.group_by("noise").agg(pl.col("label").cast(pl.Float64).mean(), rows=pl.len())
    rate = truth["click_rate"]
    errors = (rates["label"] - rate) / (rate * (1 - rate) / rates["rows"]).sqrt()
    assert errors.abs().max() < 4


@pytest.mark.parametrize("form", ["tsv", "csv", "parquet"])
def test_written_spec_prepares_the_data(form: str, tmp_path: Path) -> None:
    truth = write(tmp_path / "raw", rows=20_000, files=2, form=form)
    spec = load_spec(tmp_path / "raw" / "features.yaml")
    out = tmp_path / "out"
    prepare_table(spec, str(tmp_path / "raw"), TableOptions(), out, LocalEngine(1))
    data = PreparedDataset(out)
    rows = {split: data.read("rows", split) for split in ("train", "validation", "test")}
    labels = np.concatenate([split["label"] for split in rows.values()])
    assert len(labels) == 20_000
    assert labels.mean(dtype=np.float64) == pytest.approx(truth["click_rate"], abs=1e-12)
    tags, city = rows["train"]["tags"], rows["train"]["city"]
    assert isinstance(tags, Ragged)
    assert isinstance(city, np.ndarray)
    assert tags.lengths.max() == 3
    assert (tags.lengths == 0).mean() == pytest.approx(0.4, abs=0.02)
    assert (city == 1).mean() == pytest.approx(0.1, abs=0.01)
    assert len(data.raw_ids("product")) == 50


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("c.tsv", {"files": 2}, says("Several files need a folder", "--files=2")),
        ("c.tsv", {"form": "csv"}, says("ending", "--format=csv")),
        ("folder", {"files": 20, "rows": 10}, says("Every file must have a row", "20 files")),
        ("there", {}, says("must not exist yet", "there")),
    ],
)
def test_output_that_cannot_be(
    out: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match=message):
        write(tmp_path / out, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_column_that_no_spec_can_hold(tmp_path: Path) -> None:
    shape = parse_shape({"numeric": {"item": {}}}, "shape.yaml")
    with pytest.raises(InputError, match=says("not reserved", "'item'")):
        write(tmp_path / "c.tsv", shape=shape)


@pytest.mark.parametrize("out", ["c.tsv", "folder"])
def test_what_fails_leaves_nothing(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: ClickTruth) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(ClickTruth, "facts", full)
    with pytest.raises(OSError, match="no space"):
        write(tmp_path / out, rows=100)
    assert not list(tmp_path.iterdir())
