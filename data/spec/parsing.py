"""`features.yaml` to a `TableSpec`: typed, and strict about what it does not know.

docs/feature-spec.md explains every key, with an annotated example.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from pathlib import Path
from typing import Any, Literal

from data.errors import InputError
from data.feature import Kind
from data.schema import Cross
from data.spec.checks import check_spec
from data.spec.shown import KEYS
from data.spec.table_spec import FeatureSpec, InteractionsSpec, SourceSpec, SplitSpec, TableSpec
from data.spec.transforms import parse_transforms
from data.spec.yaml_text import block, check_keys, read_yaml

_PARTS = ("name", "source", "features", "crosses", "split", "interactions", "users", "items")
_ATTRIBUTE_PARTS = ("key", "source", "features")
_KINDS = [kind.value for kind in Kind]
_FEATURE_KEYS = {theirs: ours for ours, theirs in KEYS.items()}
_CROSS_KEYS = {"hash": "buckets"}


def load_spec(path: Path) -> TableSpec:
    """Reads a feature spec.

    Raises:
        InputError: No YAML, an unknown key, a value of the wrong type, or settings that do not go
            together; with the place in the file.
    """
    return parse_spec(read_yaml(path), path)


def parse_spec(value: Any, where: object) -> TableSpec:
    """Builds a spec from the content of `features.yaml`.

    Args:
        value: The content.
        where: The file, for messages.

    Raises:
        InputError: As of `load_spec`.
    """
    body = _mapping(value, where, "")
    check_keys(body, _PARTS, where)
    if "features" not in body:
        raise InputError("The spec must list features", received=", ".join(body), where=where)
    features = _mapping(body["features"], where, "features")
    crosses = _mapping(body.get("crosses", {}), where, "crosses")
    table = tuple(_feature(name, entry, where) for name, entry in features.items())
    spec = TableSpec(
        name=convert(body.get("name", "table"), str, f"{where}, name"),
        features=table,
        source=_fill(SourceSpec, body.get("source", {}), where, "source"),
        crosses=tuple(_cross(name, entry, where) for name, entry in crosses.items()),
        split=_fill(SplitSpec, body.get("split", {}), where, "split"),
        interactions=_fill(InteractionsSpec, body.get("interactions", {}), where, "interactions"),
        users=_attributes(body, Kind.USER, table, where),
        items=_attributes(body, Kind.ITEM, table, where),
    )
    if not spec.holds_interactions and "interactions" in body:
        raise InputError(
            "`interactions` says what is done with rows without a label",
            received="a feature of kind label",
            where=where,
            action="Drop one of them",
        )
    check_spec(spec, where)
    return spec


def _attributes(
    body: dict[str, Any], kind: Kind, features: tuple[FeatureSpec, ...], where: object
) -> TableSpec | None:
    """Returns the table of users or items, which has ids of the type of those of the rows."""
    name = f"{kind.value}s"
    if name not in body:
        return None
    entry = _mapping(body[name], where, name)
    check_keys(entry, _ATTRIBUTE_PARTS, f"{where}, {name}")
    ids = [feature for feature in features if feature.kind is kind]
    if not ids:
        raise InputError(
            f"A table of {name} goes with a feature of kind {kind.value}",
            received="none",
            where=f"{where}, features",
        )
    column = convert(entry.get("key", kind.value), str, f"{where}, {name}.key")
    listed = _mapping(entry.get("features", {}), where, f"{name}.features")
    known = [_feature(f, about, where, f"{name}.") for f, about in listed.items()]
    return TableSpec(
        name,
        (FeatureSpec(kind.value, kind, column, ids[0].type), *known),
        _fill(SourceSpec, entry.get("source", {}), where, f"{name}.source"),
    )


def _feature(name: str, entry: Any, where: object, table: str = "") -> FeatureSpec:
    path = f"{table}features.{name}"
    body = dict(_mapping(entry, where, path))
    kind = body.pop("kind", None)
    if kind not in _KINDS:
        raise InputError(
            "A feature must say what it is by its kind",
            received=repr(kind),
            where=f"{where}, {path}.kind",
            action=f"Known: {', '.join(_KINDS)}",
        )
    transforms = parse_transforms(body.pop("transforms", []), f"{where}, {path}.transforms")
    given = {"column": str(name), **body}
    fixed = {"name": str(name), "kind": Kind(kind), "transforms": transforms}
    return _fill(FeatureSpec, given, where, path, _FEATURE_KEYS, fixed)


def _cross(name: str, entry: Any, where: object) -> Cross:
    path = f"crosses.{name}"
    body = _mapping(entry, where, path)
    for key in ("of", "hash"):
        if key not in body:
            raise InputError(
                "A cross must name its parts by `of` and its number of buckets by `hash`",
                received=", ".join(body) or "nothing",
                where=f"{where}, {path}",
            )
    return _fill(Cross, body, where, path, _CROSS_KEYS, {"name": str(name)})


def _mapping(value: Any, where: object, path: str) -> dict[str, Any]:
    return block(value, f"{where}, {path}" if path else where, "docs/feature-spec.md")


def _fill(
    kind: type,
    value: Any,
    where: object,
    path: str,
    renamed: dict[str, str] | None = None,
    fixed: dict[str, Any] | None = None,
) -> Any:
    """Builds a dataclass from a block, each value checked by the type of its field."""
    body, renamed, fixed = _mapping(value, where, path), renamed or {}, fixed or {}
    hints = typing.get_type_hints(kind)
    ours = {field.name for field in dataclasses.fields(kind)} - fixed.keys()
    names = {key: renamed.get(key, key) for key in body}
    known = sorted((ours - set(renamed.values())) | renamed.keys())
    check_keys(body, known, f"{where}, {path}")
    values = {
        names[key]: convert(entry, hints[names[key]], f"{where}, {path}.{key}")
        for key, entry in body.items()
    }
    return kind(**values, **fixed)


def convert(value: Any, hint: Any, where: str) -> Any:
    """Returns a value of YAML as the type of a field.

    Raises:
        InputError: It is of another type.
    """
    origin = typing.get_origin(hint)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        entries = value if isinstance(value, list) else [value]
        return tuple(convert(entry, inner, where) for entry in entries)
    if origin is Literal:
        choices = typing.get_args(hint)
        if value in choices:
            return value
        raise _wrong(value, " or ".join(map(repr, choices)), where)
    if origin is not None:  # one of several types, None among them
        return convert(value, typing.get_args(hint)[0], where)
    return _scalar(value, hint, where)


def _scalar(value: Any, hint: type, where: str) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is bool and isinstance(value, bool):
        return value
    is_number = is_number and math.isfinite(value)
    if hint is int and is_number and int(value) == value and value >= 0:
        return int(value)
    if hint is float and is_number:
        return float(value)
    if hint is str and isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    words = {bool: "true or false", int: "a whole number of at least 0", float: "a finite number"}
    raise _wrong(value, words.get(hint, "a text"), where)


def _wrong(value: Any, expected: str, where: str) -> InputError:
    hint = "Write it in quotes" if expected == "a text" else None
    return InputError(
        f"The value must be {expected}", received=repr(value), where=where, action=hint
    )
