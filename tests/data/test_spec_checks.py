"""Settings of a feature spec that do not go together: each is refused with its place."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from data.errors import InputError
from data.spec.parsing import parse_spec
from data.spec.table_spec import MAX_IDS
from tests.data.raw_files import says

TIME = "time: {kind: time, column: at}"


def spec_with(features: str = "", **parts: Any) -> dict[str, Any]:
    """Returns a spec's content: a label, more features in YAML, and other parts."""
    return {"features": yaml.safe_load(f"label: {{kind: label}}\n{features}"), **parts}


def refused(body: dict[str, Any], *parts: str) -> None:
    with pytest.raises(InputError, match=says(*parts)):
        parse_spec(body, "f.yaml")


@pytest.mark.parametrize(
    ("features", "parts"),
    [
        ("who: {kind: user}", ("kind user must be called 'user'", "who", "column: who}")),
        ("b: {kind: item, column: c}", ("kind item must be called 'item'", "b", "column: c}")),
        ("user: {kind: user}\nb: {kind: user}", ("and there be one", "user, b")),
        ("w: {kind: weight}", ("kind weight must be called 'weight'", "w")),
        ("when: {kind: time}", ("kind time must be called 'time'", "when")),
        ("y: {kind: label}", ("kind label must be called 'label'", "label, y")),
        ("user: {kind: categorical}", ("not reserved", "'user'", "features.user")),
        ("weight: {kind: numeric}", ("not reserved", "'weight'", "`column: weight`")),
        ("mask: {kind: numeric, column: m}", ("not reserved", "'mask'", "`column: m`")),
        ("rating: {kind: numeric}", ("not reserved", "'rating'")),
        ("'a b': {kind: numeric}", ("of letters, digits and _", "'a b'")),
        ("b: {kind: numeric, column: label}", ("one feature's", "label's and b's", "features.b")),
        ("a: {kind: numeric, top: 5}", ("kind numeric must not have `top`", "5", "features.a")),
        ("a: {kind: categorical, missing: 1}", ("kind categorical must not have `missing`",)),
        ("a: {kind: multi_hot, type: int64}", ("kind multi_hot must not have `type`",)),
        ("user: {kind: user, hash: 10}", ("kind user must not have `hash`", "10", "multi_hot")),
        (
            "a: {kind: categorical, transforms: [{clip: [0, 9.5]}, log1p]}",
            ("categorical must not have `transforms`", "Received: [{clip: [0, 9.5]}, log1p]."),
        ),
        ("a: {kind: categorical, separator: ','}", ("must not have `separator`",)),
        ("a: {kind: numeric, positive: x}", ("must not have `positive`", "goes with label")),
        ("a: {kind: numeric, bucketise: 1}", ("bucketise must be at least 2", "1")),
        ("a: {kind: numeric, bucketise: 2, boundaries: [1]}", ("either bucketise or", "both")),
        ("a: {kind: numeric, boundaries: [2, 1]}", ("boundaries must ascend", "Received: [2, 1].")),
        ("a: {kind: numeric, boundaries: [1, 1]}", ("boundaries must ascend", "Received: [1, 1].")),
        ("a: {kind: categorical, min_count: 0}", ("min_count must be at least 1", "0")),
        (f"a: {{kind: categorical, hash: {MAX_IDS + 1}}}", ("hash must be at most 2,147,483,645",)),
        ("a: {kind: categorical, hash: 9, top: 5}", ("A hashed feature has no vocabulary", "9")),
        ("a: {kind: categorical, hash: 9, vocabulary: b}", ("A hashed feature has no",)),
        ("a: {kind: multi_hot, separator: '::'}", ("separator must be one character", "::")),
        (
            "a: {kind: categorical, vocabulary: v}\nb: {kind: categorical, vocabulary: v, top: 2}",
            ("same `top`", "a, b", "vocabulary 'v'"),
        ),
        (
            "a: {kind: categorical, vocabulary: b}\nb: {kind: categorical, type: int64}",
            ("same `type`", "a, b", "vocabulary 'b'"),
        ),
        (
            "a: {kind: numeric, bucketise: 4}\na_bucket: {kind: numeric}",
            ("must not be called as a number's buckets", "a_bucket"),
        ),
    ],
)
def test_features(features: str, parts: tuple[str, ...]) -> None:
    refused(spec_with(features), *parts)


@pytest.mark.parametrize(
    ("label", "parts"),
    [
        ("{kind: numeric}", ("must be a label, or else the user", "no label, but x", "features")),
        ("{kind: label, positive: a, above: 1}", ("either positive or above", "both")),
        ("{kind: label, negative: a}", ("negative goes with positive", "a")),
        ("{kind: label, positive: [a, b], negative: [b]}", ("positive or negative", "b")),
    ],
)
def test_labels(label: str, parts: tuple[str, ...]) -> None:
    name = "x" if "numeric" in label else "label"
    refused({"features": yaml.safe_load(f"{name}: {label}")}, *parts)


@pytest.mark.parametrize(
    ("cross", "parts"),
    [
        (
            {"of": ["a"], "hash": 10},
            ("two or more different features", "[a].", "crosses.c"),
        ),
        ({"of": ["a", "a"], "hash": 10}, ("two or more different features",)),
        ({"of": ["a", "n"], "hash": 10}, ("the buckets of numbers", "'n'", "Known: a, n_bucket")),
        ({"of": ["a", "b_bucket"], "hash": 10}, ("the buckets of numbers", "'b_bucket'")),
        ({"of": ["a", "n_bucket"], "hash": 1}, ("hash must be at least 2", "1")),
        ({"of": ["a", "n_bucket"], "hash": 2**31}, ("hash must be at most", "2147483648")),
    ],
)
def test_crosses(cross: dict[str, Any], parts: tuple[str, ...]) -> None:
    features = "a: {kind: categorical}\nb: {kind: numeric}\nn: {kind: numeric, bucketise: 4}"
    refused(spec_with(features, crosses={"c": cross}), *parts)
    fine = {"of": ["a", "n_bucket"], "hash": 10}
    assert parse_spec(spec_with(features, crosses={"c": fine}), "f.yaml").crosses[0].name == "c"
    for taken in ("a", "n_bucket"):
        body = spec_with(features, crosses={taken: fine})
        refused(body, "A cross must not be called as a feature", taken)


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ({"header": False, "columns": ["a", "b", "a"]}, ("name a column once", "a", "source")),
        ({"columns": ["a"]}, ("no line of the files names", "header: true", "header: false")),
        ({"quote": "''"}, ("quote one character", "\"''\"", "source.quote")),
        ({"separator": "\n"}, ("without line breaks", "'\\n'", "source.separator")),
        ({"separator": "§"}, ("must be of ASCII", "'§'")),
        ({"separator": '"'}, ("quote must differ from separator",)),
        ({"encoding": "utf-9"}, ("encoding must be known", "'utf-9'", "For example utf-8")),
        ({"encoding": "utf-16"}, ("as ASCII does", "'utf-16'", "iconv")),
        ({"encoding": "zip"}, ("encoding must be known", "'zip'")),
    ],
)
def test_sources(source: dict[str, Any], parts: tuple[str, ...]) -> None:
    refused(spec_with(source=source), *parts)


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "latin-1", "cp1252", "gbk"])
def test_encodings_that_hold_ascii(encoding: str) -> None:
    spec = parse_spec(spec_with(source={"encoding": encoding}), "f.yaml")
    assert spec.source.encoding == encoding


@pytest.mark.parametrize(
    ("features", "split", "parts"),
    [
        ("", {"validation": 0.5, "test": 0.5}, ("sum between 0 and 1", "0.5 and 0.5", "split")),
        ("", {"validation": 0, "test": 0}, ("sum between 0 and 1", "0 and 0")),
        ("", {"validation": -0.1}, ("shares of at least 0", "-0.1 and 0.1")),
        ("", {"method": "position", "test": 1}, ("sum between 0 and 1", "0.1 and 1")),
        ("", {"method": "files"}, ("A split by files must have `test_files`", "none")),
        ("", {"method": "files", "test_files": "b", "validation": 1}, ("below 1", "1")),
        ("", {"method": "column"}, ("A split by column must have `column`",)),
        ("", {"method": "time", "test_from": "9"}, ("A split by time must have `column`",)),
        (TIME, {"method": "time", "column": "at"}, ("must have `test_from`",)),
        (
            "",
            {"method": "time", "column": "at", "test_from": "9"},
            ("column of the feature of kind time", "'at'", "`time: {kind: time, column: at}`"),
        ),
        (
            TIME,
            {"method": "time", "column": "time", "test_from": "9"},
            ("column of the feature of kind time", "'time'", "`column: at`"),
        ),
        (
            "a: {kind: categorical, column: s}",
            {"method": "column", "column": "s"},
            ("must be no feature", "'s'", "split.column", "learn the split"),
        ),
        ("", {"method": "random"}, ("must be 'files' or 'time' or 'hash'", "'random'")),
    ],
)
def test_splits(features: str, split: dict[str, Any], parts: tuple[str, ...]) -> None:
    refused(spec_with(features, split=split), *parts)
