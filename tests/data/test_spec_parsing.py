"""Feature specs: what is read from YAML, and what a spec that makes no sense is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from data.errors import InputError
from data.feature import Kind, Transform
from data.schema import Cross
from data.spec.parsing import load_spec, parse_spec
from data.spec.table_spec import SourceSpec, SplitSpec
from data.spec.transforms import apply
from tests.data.raw_files import says

LABEL = "label: {kind: label}"
WIDE = """
name: shop
source: {format: tsv, header: false, columns: [y, p, c, d, t, u, when], missing: ["?", -1]}
split: {method: time, column: when, test_from: 2024-02-01T00:00:00Z}
features:
  label: {kind: label, column: y, positive: yes sir, negative: ["no", "0"]}
  price: {kind: numeric, column: p, missing: 2, bucketise: 10,
          transforms: [{clip: [0, 100]}, log1p, normalise]}
  colour: &colour {kind: categorical, column: c, vocabulary: colours, top: 50}
  lining: {<<: *colour, column: d}
  tags: {kind: multi_hot, column: t, hash: 1000, separator: ";"}
  user: {kind: user, column: u, type: int64, min_count: 2}
  time: {kind: time, column: when}
crosses:
  colour_price: {of: [colour, price_bucket], hash: 500}
"""


def load(text: str, folder: Path) -> Any:
    path = folder / "features.yaml"
    path.write_text(text, encoding="utf-8")
    return load_spec(path)


def spec_with(features: str = "", **parts: Any) -> dict[str, Any]:
    """Returns a spec's content: a label, more features in YAML, and other parts."""
    return {"features": yaml.safe_load(f"{LABEL}\n{features}"), **parts}


def test_every_value_is_read_with_its_type(tmp_path: Path) -> None:
    spec = load(WIDE.replace("2024-02-01T00:00:00Z", '"2024-02-01T00:00:00Z"'), tmp_path)
    assert spec.name == "shop"
    columns = ("y", "p", "c", "d", "t", "u", "when")
    missing = ("?", "-1")
    assert spec.source == SourceSpec("tsv", header=False, columns=columns, missing=missing)
    assert spec.split == SplitSpec("time", "when", test_from="2024-02-01T00:00:00Z")
    assert spec.crosses == (Cross("colour_price", ("colour", "price_bucket"), 500),)
    label, price, _, lining, tags, user, time = spec.features
    assert (label.positive, label.negative) == (("yes sir",), ("no", "0"))
    clip = Transform("clip", (0.0, 100.0))
    assert price.transforms == (clip, Transform("log1p"), Transform("normalise"))
    assert (price.missing, price.buckets, type(price.missing)) == (2.0, 10, float)
    assert (lining.vocabulary, lining.top, lining.column) == ("colours", 50, "d")
    assert (tags.kind, tags.hash_buckets, tags.separator) == (Kind.MULTI_HOT, 1000, ";")
    assert (user.type, user.min_count, time.column) == ("int64", 2, "when")
    assert {name: [f.name for f in shared] for name, shared in spec.vocabularies().items()} == {
        "colours": ["colour", "lining"],
        "user": ["user"],
    }
    assert spec.columns() == list(columns)


def test_defaults() -> None:
    spec = parse_spec(spec_with("age: {kind: numeric}"), "f.yaml")
    assert (spec.name, spec.source, spec.split) == ("table", SourceSpec(), SplitSpec())
    assert [feature.column for feature in spec.features] == ["label", "age"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            "features: {a: {kind: numeric}, a: {kind: label}}",
            ("the key 'a' stands twice", "line 1"),
        ),
        ("name: a\nname: b\n", ("the key 'name' stands twice", "line 2")),
        ("features: [\n", ("must be a YAML file", "features.yaml")),
        ("? [a, b]\n: c\n", ("must be a YAML file", "unhashable")),
        ("name: !!python/object:os.system x\n", ("must be a YAML file", "python/object")),
        ("", ("block of `key: value` lines", "None", "docs/feature-spec.md")),
        ("- a\n", ("block of `key: value` lines", "['a']")),
        (
            "features: {on: {kind: label}}",
            ("A name must be a text", "True, of type bool", "quotes"),
        ),
        ("features: {1: {kind: label}}", ("A name must be a text", "1, of type int", "features")),
        ("name: x\n", ("The spec must list features", "name", "features.yaml")),
    ],
)
def test_text_that_is_no_spec(text: str, parts: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says(*parts)):
        load(text, tmp_path)


@pytest.mark.parametrize("content", [None, b"name: caf\xe9\n"])
def test_file_that_is_not_there_or_no_text(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "features.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=says("must be a YAML file in UTF-8", "features.yaml")):
        load_spec(path)


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ({"feature": {}}, ("A key must be known", "'feature'", "mean 'features'?")),
        (spec_with(source={"seperator": ";"}), ("'seperator'", "source", "mean 'separator'?")),
        (spec_with("a: {kind: numeric, buckets: 4}"), ("'buckets'", "features.a")),
        (spec_with("a: {kind: number}"), ("what it is by its kind", "'number'", "features.a.kind")),
        (spec_with("a: {}"), ("what it is by its kind", "None", "Known: label, numeric, ")),
        (spec_with("a: {kind: text}"), ("must be in a table of users or items", "a", "features")),
        (spec_with("a: numeric"), ("block of `key: value` lines", "'numeric'", "features.a")),
        (spec_with(name=["a"]), ("must be a text", "['a']", "f.yaml, name")),
        (spec_with(source={"header": "no"}), ("must be true or false", "'no'", "source.header")),
        (spec_with(source={"missing": [True]}), ("must be a text", "True", "Write it in quotes")),
        (spec_with(source={"format": "xml"}), ("must be 'auto' or 'csv'", "'xml'", "format")),
        (spec_with("a: {kind: categorical, top: -1}"), ("whole number of at least 0", "-1", "top")),
        (spec_with("a: {kind: categorical, top: 1.5}"), ("whole number of at least 0", "1.5")),
        (spec_with("a: {kind: categorical, top: .inf}"), ("whole number of at least 0", "inf")),
        (spec_with("a: {kind: categorical, top: .nan}"), ("whole number of at least 0", "nan")),
        (spec_with("a: {kind: numeric, missing: .nan}"), ("a finite number", "nan", "a.missing")),
        (spec_with("a: {kind: numeric, missing: x}"), ("a finite number", "'x'")),
        (
            spec_with(split={"method": "time", "column": "t", "test_from": "x", "by": 1}),
            ("'by'", "f.yaml, split"),
        ),
        (
            spec_with("a: {kind: user, type: int}"),
            ("must be 'string' or 'int64'", "'int'", "features.a.type"),
        ),
        (spec_with(crosses={"c": {"of": ["a", "b"]}}), ("`of` and its number", "of", "crosses.c")),
        (spec_with(crosses={"c": {}}), ("`of` and its number", "nothing", "crosses.c")),
    ],
)
def test_key_or_value_that_is_wrong(body: dict[str, Any], parts: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=says(*parts)):
        parse_spec(body, "f.yaml")


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("log1p", ("must be a list", "'log1p'", "a.transforms", "For example [{clip: [0, 100]}")),
        ("[log2]", ("A transform must be known", "'log2'", "Known: clip, log1p, normalise")),
        ("[clip]", ("A transform must be known", "'clip'")),
        ("[{log1p: 1}]", ("A transform must be known", "{'log1p': 1}")),
        ("[normalise, log1p]", ("normalise must be the last", "['normalise', 'log1p']")),
        ("[{clip: 5}]", ("low and its high bound", "5", "For example {clip: [0, 100]}")),
        ("[{clip: [5, 5]}]", ("low and its high bound", "[5, 5]")),
        ("[{clip: [1, 2, 3]}]", ("low and its high bound", "[1, 2, 3]")),
        ("[{clip: [0, a]}]", ("low and its high bound", "[0, 'a']")),
        ("[{clip: [0, .inf]}]", ("low and its high bound", "[0, inf]")),
        ("[{clip: [.nan, 1]}]", ("low and its high bound", "[nan, 1]")),
    ],
)
def test_transforms_that_are_wrong(value: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=says(*parts)):
        parse_spec(spec_with(f"a: {{kind: numeric, transforms: {value}}}"), "f.yaml")


def test_transforms_are_applied_in_their_order() -> None:
    values = np.array([-5.0, 0.0, 3.0, 1e6], np.float32)
    clipped, logged = Transform("clip", (0.0, 7.0)), Transform("log1p")
    first = np.log1p([0.0, 0.0, 3.0, 7.0])
    np.testing.assert_allclose(apply([clipped, logged], values), first)
    second = np.clip(np.log1p([0.0, 0.0, 3.0, 1e6]), 0, 7)
    np.testing.assert_allclose(apply([logged, clipped], values), second)
    scaled = apply([logged, Transform("normalise", (1.0, 2.0))], values)
    np.testing.assert_allclose(scaled, (np.log1p([0.0, 0.0, 3.0, 1e6]) - 1) / 2)
    assert apply([Transform("normalise", (1.0, 0.0))], values).tolist() == [0, 0, 0, 0]
