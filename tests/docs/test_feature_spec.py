"""The page on feature specs: its example is one, and its tables name every key and its default."""

from __future__ import annotations

import csv
import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from data.dataset import PreparedDataset
from data.engine.engines import LocalEngine
from data.engine.prepare_table import prepare_table
from data.engine.stages import TableOptions
from data.feature import Kind
from data.schema import Cross
from data.spec.parsing import load_spec
from data.spec.table_spec import FeatureSpec, InteractionsSpec, SourceSpec, SplitSpec, TableSpec

PAGE = Path(__file__).parents[2] / "docs" / "feature-spec.md"
# Fields that have another name in YAML.
KEYS: dict[type, dict[str, str]] = {
    SourceSpec: {},
    FeatureSpec: {"hash_buckets": "hash", "buckets": "bucketise"},
    Cross: {"buckets": "hash"},
    SplitSpec: {},
    InteractionsSpec: {},
}
NAMES = {FeatureSpec: {"name"}, Cross: {"name"}}  # the key of the block itself
OWN = {"transforms", "kind", "column"}  # whose defaults the parser knows


def tables(section: str) -> dict[str, list[str]]:
    """Returns the rows of a section's first table, by the key in its first column."""
    (body,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S)
    lines = body.partition("|---")[2].partition("\n\n")[0].splitlines()[1:]
    rows = [re.split(r"(?<!\\)\|", line.strip("|")) for line in lines]
    return {row[0].strip().strip("`"): [cell.strip() for cell in row] for row in rows}


def example(folder: Path) -> TableSpec:
    text = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.M | re.S)[0]
    path = folder / "features.yaml"
    path.write_text(text)
    return load_spec(path)


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ("source", SourceSpec),
        ("features", FeatureSpec),
        ("crosses", Cross),
        ("split", SplitSpec),
        ("interactions", InteractionsSpec),
    ],
)
def test_tables_name_every_key_with_its_default(section: str, kind: Any) -> None:
    rows = tables(section)
    fields = {
        KEYS[kind].get(field.name, field.name): field
        for field in dataclasses.fields(kind)
        if field.name not in NAMES.get(kind, set())
    }
    assert set(rows) == set(fields)
    for key, field in fields.items():
        shown = rows[key][2]
        if field.default is dataclasses.MISSING:
            assert shown in ("needed", "the feature's name"), key
        elif field.default is None:
            assert shown == "none", key
        else:
            written = yaml.safe_load(shown.strip("`").replace("\\|", '"|"'))
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            assert written == default, key


def test_page_names_the_parts_and_the_kinds() -> None:
    assert set(tables("Top level")) == {f.name for f in dataclasses.fields(TableSpec)}
    named = set(re.findall(r"`(\w+)`", PAGE.read_text()))
    assert {kind.value for kind in Kind} <= named


def test_example_sets_what_it_says(tmp_path: Path) -> None:
    spec = example(tmp_path)
    assert {feature.kind for feature in spec.features} == set(Kind) - {Kind.TEXT}
    by_name = {feature.name: feature for feature in spec.features}
    assert by_name["price"].buckets == 8
    assert by_name["session"].hash_buckets == 100_000
    assert [f.name for f in spec.vocabularies()["colours"]] == ["colour", "lining"]
    assert spec.split.test_from == "2024-03-15T00:00:00Z"


def test_example_prepares_a_table(tmp_path: Path) -> None:
    spec = example(tmp_path)
    columns = spec.columns()
    given = {
        "weight": "1.5",
        "customer_id": "7",
        "sku": "A-1",
        "price": "NULL",
        "age": "30",
        "colour": " red",
        "lining_colour": "?",
        "campaign": "3",
        "session": "s",
        "tags": "new|sale",
    }
    days = ["2024-02-01", "2024-02-02 10:00", "2024-03-01", "2024-03-15T02:00:00+02:00"]
    outcomes = ["bought", "returned", "kept", "returned"]
    with (tmp_path / "log.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, delimiter=";")
        writer.writeheader()
        for day, outcome in zip(days, outcomes, strict=True):
            writer.writerow({**given, "at": day, "outcome": outcome})
    out = tmp_path / "out"
    prepare_table(spec, str(tmp_path / "log.csv"), TableOptions(), out, LocalEngine(1))
    data = PreparedDataset(out)
    rows = {name: data.split("rows", name).rows for name in ("train", "validation", "test")}
    assert rows == {"train": 2, "validation": 1, "test": 1}
    train = {
        name: np.asarray(v) for name, v in data.read("rows", "train").items() if name != "tags"
    }
    assert sorted(train["label"]) == [0, 1]
    assert sorted(train["price"]) == [20, 20]
    assert data.raw_ids("colour").tolist() == data.raw_ids("lining").tolist() == ["red"]
    assert sorted(train["lining"]) == [1, 1]
    assert data.raw_ids("tags").tolist() == []  # each is there less often than min_count
