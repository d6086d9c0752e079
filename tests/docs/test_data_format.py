"""The page on the data format: its example works, and it names every field of the schema."""

from __future__ import annotations

import ast
import dataclasses
import os
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data import schema
from data.blocks import Ragged
from data.candidates import candidates_sha256
from data.dataset import PreparedDataset
from data.pipeline import make_dataset
from data.reading import Reading
from data.vocabulary import Vocabulary

PAGE = Path(__file__).parents[2] / "docs" / "data-format.md"
FORMAT_FIELDS = {"format", "format_version"}


def example() -> str:
    """Returns the one Python program on the page."""
    (program,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return program


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreparedDataset:
    """Returns the dataset that the page's example writes."""
    monkeypatch.chdir(tmp_path)
    Path("writer.py").write_text(example())
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: flushed.append(os.fstat(file).st_ino))
    runpy.run_path("writer.py")
    Path("writer.py").unlink()
    assert {path.stat().st_ino for path in (tmp_path, *tmp_path.rglob("*"))} <= {*flushed}
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
    return PreparedDataset(tmp_path / "tiny")


def lists(values: np.ndarray | Ragged) -> list[list[float]]:
    assert isinstance(values, Ragged)
    return [part.tolist() for part in np.split(values.values, np.cumsum(values.lengths)[:-1])]


def test_example_imports_nothing_of_ours() -> None:
    roots = set()
    for node in ast.walk(ast.parse(example())):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add(str(node.module).partition(".")[0])
    assert roots - set(sys.stdlib_module_names) == {"tensorflow"}


def test_reader_gets_the_vocabularies_back(written: PreparedDataset) -> None:
    assert written.raw_ids("user").tolist() == ["ann", "bob"]
    assert written.raw_ids("item").tolist() == [30, 7, 10, 11, 12]
    assert written.schema.cardinality("item") == 7


def test_reader_gets_the_rows_back(written: PreparedDataset) -> None:
    rows = written.read("rows", "train")
    assert {name: np.asarray(column).tolist() for name, column in rows.items()} == {
        "user": [3, 2, 2, 2, 3, 3],
        "item": [2, 3, 2, 4, 5, 6],
        "rating": [4.0, 3.5, 5.0, 1.0, 2.0, 2.5],
        "time": [1_700_000_000 + t for t in (20, 2, 1, 3, 21, 22)],
    }


def test_reader_gets_the_histories_back(written: PreparedDataset) -> None:
    train, test = written.read("histories", "train"), written.read("histories", "test")
    assert lists(train["item"]) == [[2, 3, 4], [2, 5, 6]]
    assert lists(train["rating"]) == [[5.0, 3.5, 1.0], [4.0, 2.0, 2.5]]
    assert lists(train["seen_item"]) == lists(train["negative_item"]) == [[], []]
    assert lists(test["item"]) == [[5], [3]]
    assert lists(test["seen_item"]) == [[2, 3, 4], [2, 5, 6]]
    assert lists(test["negative_item"]) == [[6], [4]]
    assert written.positives(["train"]).items.tolist() == [2, 3, 4, 2, 5, 6]


def test_pipeline_batches_each_row_once(written: PreparedDataset) -> None:
    batches = list(make_dataset(written, Reading("rows", ("train",), 4, shuffle=True), seed=1))
    kept = [batch["mask"].numpy() > 0 for batch in batches]
    pairs = [
        (int(user), int(item))
        for batch, mask in zip(batches, kept, strict=True)
        for user, item in zip(batch["user"].numpy()[mask], batch["item"].numpy()[mask], strict=True)
    ]
    assert sorted(pairs) == [(2, 2), (2, 3), (2, 4), (3, 2), (3, 5), (3, 6)]


def test_example_hashes_candidates_as_we_do(written: PreparedDataset) -> None:
    test = written.read("histories", "test")
    user, negatives = test["user"], test["negative_item"]
    assert isinstance(user, np.ndarray)
    assert isinstance(negatives, Ragged)
    vocabularies = [
        Vocabulary(pl.Series(written.raw_ids(name)), np.zeros(0, np.int32))
        for name in ("user", "item")
    ]
    expected = candidates_sha256([(user, negatives)], *vocabularies)
    assert written.schema.candidates["test"].sha256 == expected


def test_page_names_every_field_of_the_schema() -> None:
    parts = (
        schema.Schema,
        schema.Feature,
        schema.NumericStatistics,
        schema.View,
        schema.Column,
        schema.Split,
        schema.Shard,
        schema.Candidates,
    )
    prose = PAGE.read_text().replace(example(), "")
    named = set(re.findall(r"`(\w+)`", prose))
    fields = {field.name for part in parts for field in dataclasses.fields(part)}
    assert fields | FORMAT_FIELDS <= named
    assert {kind.value for kind in schema.Kind} <= named
