"""Typed overrides: `--set=model.hidden=256,128` changes an existing field, or is an error."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable
from typing import Any, Literal

from configs.base import RunConfig
from data.errors import InputError, nearest

_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def apply_overrides(config: RunConfig, assignments: Iterable[str]) -> RunConfig:
    """Returns the config with fields replaced.

    Args:
        config: The config to start from.
        assignments: Each `path=value`, such as `trainer.epochs=3`.

    Raises:
        InputError: Not of that form, an unknown field (the nearest are named), or a value that
            does not parse as the field's type.
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, value = (part.strip() for part in assignment.partition("="))
        if not equals:
            raise InputError(
                "An override must have the form path=value",
                received=repr(assignment),
                action="For example --set=trainer.epochs=3",
            )
        changes[path] = parse(value, type_of(config, path), path)
    return _rebuilt(config, changes)


def type_of(config: RunConfig, path: str) -> Any:
    """Returns the type hint of a field.

    Raises:
        InputError: No such field; the nearest are named.
    """
    known = field_paths(config)
    if path not in known:
        raise InputError(
            "An override must name an existing field",
            received=repr(path),
            action=nearest(path, known),
        )
    owner: Any = config
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    return typing.get_type_hints(type(owner))[name]


def _rebuilt(config: Any, changes: dict[str, Any], prefix: str = "") -> Any:
    """Replaces all fields of a dataclass at once: they are checked against each other."""
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        path, value = prefix + field.name, getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            fields[field.name] = _rebuilt(value, changes, f"{path}.")
        elif path in changes:
            fields[field.name] = changes[path]
    return dataclasses.replace(config, **fields)


def field_paths(config: Any, prefix: str = "") -> dict[str, Any]:
    """Returns every overridable field by its path, with its value."""
    paths: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            paths.update(field_paths(value, f"{prefix}{field.name}."))
        elif prefix:
            paths[prefix + field.name] = value
    return paths


def parse(text: str, hint: Any, where: str) -> Any:
    """Parses text as the type of a field: str, int, float, bool, Literal, or a tuple of these.

    Raises:
        InputError: The text is no such value.
    """
    origin = typing.get_origin(hint)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        parts = [part.strip() for part in text.strip("()[]").split(",") if part.strip()]
        return tuple(parse(part, inner, where) for part in parts)
    if origin is Literal:
        if text not in typing.get_args(hint):
            raise _wrong(text, " or ".join(map(repr, typing.get_args(hint))), where)
        return text
    if origin in (typing.Union, types.UnionType):
        return parse(text, typing.get_args(hint)[0], where)
    if hint is bool:
        if text.lower() not in _TRUE + _FALSE:
            raise _wrong(text, "true or false", where)
        return text.lower() in _TRUE
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError as error:
            raise _wrong(text, f"a value of type {hint.__name__}", where) from error
    return text


def as_text(value: Any) -> str:
    """Returns the text that `parse` reads as the value of a field."""
    if isinstance(value, tuple | list):
        return ",".join(map(as_text, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _wrong(text: str, expected: str, where: str) -> InputError:
    return InputError(f"{where} must be {expected}", received=repr(text))
