"""YAML that refuses what it would silently lose."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import yaml

from data.errors import InputError, nearest

_MERGE = "tag:yaml.org,2002:merge"


class _KeysOnce(yaml.constructor.BaseConstructor):
    """Refuses a key that stands twice in a block: YAML would keep the last one only.

    Keys that `<<` brings in from another block may be given again.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Builds a mapping."""
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                break  # which the base class explains
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice in its block", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Loader(_KeysOnce, yaml.SafeLoader):
    """Reads numbers, `off` and the like as values."""


class _TextLoader(_KeysOnce, yaml.BaseLoader):
    """Reads every value as the text that stands there."""


def read_yaml(path: Path, what: str = "The spec", *, as_text: bool = False) -> Any:
    """Reads a YAML file.

    Args:
        path: The file.
        what: What it is called in messages.
        as_text: Whether to leave every value the text that stands there: `off` stays `off`.

    Raises:
        InputError: No such file, no YAML, or a key that stands twice.
    """
    rule = f"{what} must be a YAML file in UTF-8 in which a key stands once in its block"
    try:
        # Both loaders are safe ones.
        return yaml.load(path.read_text(encoding="utf-8"), _TextLoader if as_text else _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        received = " ".join(str(error).split())
        raise InputError(rule, received=received, where=path) from error


def block(value: Any, where: object, example: str) -> dict[str, Any]:
    """Returns a block of `key: value` lines.

    Args:
        value: What YAML made of it.
        where: Its place, for messages.
        example: Where an example is to be found.

    Raises:
        InputError: It is something else, or a key is no text.
    """
    if not isinstance(value, dict):
        raise InputError(
            "This must be a block of `key: value` lines",
            received=repr(value),
            where=where,
            action=f"{example} has an example",
        )
    for key in value:
        if not isinstance(key, str):
            raise InputError(
                "A name must be a text",
                received=f"{key!r}, of type {type(key).__name__}",
                where=where,
                action="Write it in quotes: YAML reads on, off, yes, no and numbers as values",
            )
    return value


def check_keys(body: dict[str, Any], known: Iterable[str], where: object) -> None:
    """Refuses keys of a block that are not known."""
    for key in body:
        if key not in known:
            raise InputError(
                "A key must be known", received=repr(key), where=where, action=nearest(key, known)
            )
