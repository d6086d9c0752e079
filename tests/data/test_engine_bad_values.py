"""Bad values of typed tables, and specs that do not fit the table: told with row and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data.engine import fitting
from data.errors import InputError
from tests.data.bad_tables import (
    BAD_LINE,
    FEATURES,
    HEADER,
    LAST,
    ROWS,
    check_nothing_is_left,
    check_recovers,
    frame,
    line,
    prepare,
    rows_of,
    write_records,
    write_table,
)
from tests.data.raw_files import replace_line, says


@pytest.mark.parametrize(
    ("column", "values", "rule", "received"),
    [
        ("price", [0.0, np.nan], "a finite number", "'NaN'"),
        ("price", [0.0, np.inf], "a finite number", "'inf'"),
        ("price", [0.0, 1e300], "a finite number", "'1e+300'"),
        ("price", ["0", "dear"], "a finite number", "'dear'"),
        ("shop", pl.Series([0, 2**63], dtype=pl.UInt64), "an integer of 64", f"'{2**63}'"),
        ("shop", [7.0, 7.5], "an integer of 64 bits", "'7.0'"),
        ("city", ["Rome", "x" * 10_000], "a text of at most 4,096 bytes", "'xxxx"),
        ("city", ["Rome", "Ro\nme"], "without line breaks", "'Ro\\nme'"),
        ("city", [b"Rome", b"Rom\xe9"], "a text in UTF-8", "b'Rom\\xe9'"),
        ("city", [["Rome"], ["Rome", "Paris"]], "Only a multi_hot feature may hold lists", "List"),
        ("tags", [["a"], ["a", "b|c"]], "may hold the separator", "['a', 'b|c']"),
        ("label", [1, 2], "a label", "'2'"),
        ("label", [1, None], "a label", "nothing"),
        ("label", [1.0, 0.5], "a label", "'0.5'"),
        ("time", ["2024-01-31", None], "an ISO 8601 date or time", "nothing"),
        ("time", [5, 6], "an ISO 8601 date or time", "'5'"),
    ],
)
def test_bad_value_of_parquet_is_told_with_row_and_column(
    column: str, values: Any, rule: str, received: str, tmp_path: Path
) -> None:
    given = values if isinstance(values, pl.Series) else pl.Series(values)
    good, bad = given[0], given[1]
    row = 1 if received in ("'7.0'", "'5'", "List") else 4
    column_values = pl.Series(column, [good] * 3 + [bad] + [good] * (ROWS - 4), dtype=given.dtype)
    source = tmp_path / "t.parquet"
    frame().with_columns(column_values).write_parquet(source)
    place = f"t.parquet, column '{column}'" + (f", row {row}" if received != "List" else "")
    for part_bytes in (256, 1 << 20):
        with pytest.raises(InputError, match=says(rule, received, place)):
            prepare(source, part_bytes=part_bytes)
    check_nothing_is_left(tmp_path, "t.parquet")


@pytest.mark.parametrize(
    ("bad", "parts"),
    [
        ({"label": [2]}, ("a label", "'2'", "t.tfrecord, column 'label', row 4")),
        ({"city": [b"\xff"]}, ("in UTF-8", "b'\\xff'", "t.tfrecord, column 'city', row 4")),
        ({"city": [b"a", b"b"]}, ("Only a multi_hot", "t.tfrecord, column 'city'")),
        ({"city": [5]}, ("all with the same kinds of values", "t.tfrecord")),
    ],
)
def test_bad_record_is_told(bad: dict[str, Any], parts: tuple[str, ...], tmp_path: Path) -> None:
    source = write_records(tmp_path / "t.tfrecord", bad)
    features = {name: FEATURES[name] for name in ("label", "city")}
    with pytest.raises(InputError, match=says(*parts)):
        prepare(source, features)
    check_nothing_is_left(tmp_path, "t.tfrecord")


def test_records_may_lack_a_value_in_the_first_row(tmp_path: Path) -> None:
    source = write_records(tmp_path / "t.tfrecord", {"shop": [7]})
    features = {name: FEATURES[name] for name in ("label", "city", "shop")}
    data = prepare(source, features)
    assert data.raw_ids("shop").tolist() == [7]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
@pytest.mark.parametrize(
    ("features", "split", "parts"),
    [
        ({"town": {"kind": "categorical"}}, LAST, ("'town', not at all", "Known: ")),
        ({"c": {"kind": "categorical", "column": "citty"}}, LAST, ("'citty'", "mean 'city'?")),
        ({}, {"method": "hash", "of": ["prize"]}, ("'prize', not at all", "mean 'price'?")),
        ({}, {"method": "column", "column": "split"}, ("'split', not at all",)),
    ],
)
def test_column_that_the_source_lacks(
    name: str,
    features: dict[str, Any],
    split: dict[str, Any],
    parts: tuple[str, ...],
    tmp_path: Path,
) -> None:
    source = tmp_path / name
    write_table(source) if name == "t.csv" else frame().write_parquet(source)
    rule = "A column of the spec must be in the source once"
    with pytest.raises(InputError, match=says(rule, parts[0], name, *parts[1:])):
        prepare(source, FEATURES | features, split)
    check_nothing_is_left(tmp_path, name)


def test_another_separator_is_asked_for(tmp_path: Path) -> None:
    source = write_table(tmp_path / "t.csv")
    source.write_text(source.read_text().replace("|", "/").replace(",", ";"))
    advice = 'Is the file separated by ";"? Write `separator: ";"` into its `source`.'
    with pytest.raises(InputError, match=says("'label', not at all", "t.csv", advice)):
        prepare(source)
    assert rows_of(prepare(source, reads={"separator": ";"}, out="read")) == ROWS


def test_column_that_the_source_has_twice(tmp_path: Path) -> None:
    source = write_table(tmp_path / "t.csv")
    replace_line(source, 1, HEADER.replace("note", "city").encode())
    with pytest.raises(InputError, match=says("'city', 2 times", "t.csv", "Rename one")):
        prepare(source)
    without = {name: entry for name, entry in FEATURES.items() if name != "city"}
    assert rows_of(prepare(source, without)) == ROWS  # where it is not used, it does no harm


def test_column_of_two_features(tmp_path: Path) -> None:
    source = write_table(tmp_path / "t.csv")
    twice = FEATURES | {"town": {"kind": "categorical", "column": "city"}}
    parts = says("A column must be one feature's", "city's and town's", "features.town")
    with pytest.raises(InputError, match=parts):
        prepare(source, twice)
    check_nothing_is_left(tmp_path, "t.csv")


@pytest.mark.parametrize(
    ("labels", "settings", "received"),
    [("1", {}, "[1.0] alone"), ("0", {}, "[0.0] alone"), ("4", {"above": 3}, "[1.0] alone")],
)
def test_labels_of_one_class(
    labels: str, settings: dict[str, Any], received: str, tmp_path: Path
) -> None:
    source = tmp_path / "t.csv"
    source.write_text("\n".join([HEADER, *[line(label=labels)] * ROWS]) + "\n")
    rule = "The label must be 1 in some rows of train and 0 in others"
    with pytest.raises(InputError, match=says(rule, received, "column 'label'")):
        prepare(source, FEATURES | {"label": {"kind": "label", **settings}})
    check_recovers(source)


@pytest.mark.parametrize("test", [0.01, 0.999])
def test_split_that_leaves_nothing(test: float, tmp_path: Path) -> None:
    source = write_table(tmp_path / "t.csv")
    rule = says("rows to train on and rows to hold out", "train ", "Change the split")
    with pytest.raises(InputError, match=rule):
        prepare(source, split={"method": "hash", "of": ["city"], "validation": 0, "test": test})


def test_vocabulary_that_is_too_large_is_to_be_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "t.csv"
    rows = [line(label=str(n % 2), city=f"c{n}") for n in range(ROWS)]
    source.write_text("\n".join([HEADER, *rows]) + "\n")
    assert fitting.MAX_IDS + 2 < 2**31  # ids are int32
    monkeypatch.setattr(fitting, "MAX_IDS", 8)
    parts = ("at most 8 entries", "9", "feature 'city'", "min_count", "top", "`hash: ")
    with pytest.raises(InputError, match=says(*parts)):
        prepare(source)
    check_nothing_is_left(tmp_path, "t.csv")
    hashed = FEATURES | {"city": {"kind": "categorical", "hash": 100}}
    assert prepare(source, hashed).schema.cardinality("city") == 102


@pytest.mark.parametrize("kind", ["user", "item"])
def test_integer_that_pads_requests_is_no_id(kind: str, tmp_path: Path) -> None:
    source = write_table(tmp_path / "t.csv")
    replace_line(source, BAD_LINE, line(shop="-1").encode())
    assert -1 in prepare(source).raw_ids("shop")  # of a category it is a value
    features = {name: entry for name, entry in FEATURES.items() if name != "shop"}
    features[kind] = {"kind": kind, "column": "shop", "type": "int64"}
    with pytest.raises(InputError, match=says("field 'shop': '-1'", "other than -1", "line 5")):
        prepare(source, features, out="ids")
