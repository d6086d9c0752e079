"""A search space in a file, in place of the one declared beside the recipes.

trainer.learning_rate: {log_uniform: [0.0001, 0.01]}
model.dropout: {uniform: [0, 0.5]}
model.negatives: {integer: [1, 8]}
model.hidden: {choice: [[64, 32], [128, 64, 32]], when: {model.variant: [neumf, mlp]}}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from configs.overrides import as_text, parse
from configs.search import Choice, Dimension, Integer, LogInteger, LogUniform, Uniform
from data.errors import InputError
from data.spec.yaml_text import block, check_keys, read_yaml

_EXAMPLE = "docs/tuning.md"
_WHEN = "when"
_RANGES = {kind.name: kind for kind in (Uniform, LogUniform, Integer, LogInteger)}


def read_space(path: Path) -> tuple[Dimension, ...]:
    """Reads a search space; whether its fields exist is left to `check_space`.

    Raises:
        InputError: No such file, or it says something else.
    """
    body = block(read_yaml(path, "A search space", as_text=True), path, _EXAMPLE)
    return tuple(_dimension(field, entry, f"{path}, {field}") for field, entry in body.items())


def _dimension(field: str, entry: Any, where: str) -> Dimension:
    entry = block(entry, where, _EXAMPLE)
    check_keys(entry, (*_RANGES, Choice.name, _WHEN), where)
    when = _conditions(entry.pop(_WHEN, {}), f"{where}, {_WHEN}")
    values = next(iter(entry.values()), None)
    if len(entry) != 1 or not isinstance(values, list):
        raise InputError(
            "A field must be searched in one way, with a list of bounds or values",
            received=entry,
            where=where,
            action=f"{_EXAMPLE} has an example",
        )
    (name,) = entry
    if name == Choice.name:
        return Choice(field, tuple(map(as_text, values)), when)
    if len(values) != 2:
        raise InputError(f"`{name}` takes two bounds", received=values, where=where)
    low, high = (parse(as_text(value), _RANGES[name].type, where) for value in values)
    return _RANGES[name](field, low, high, when)


def _conditions(entry: Any, where: str) -> dict[str, tuple[str, ...]]:
    entry = block(entry, where, _EXAMPLE)
    if not all(isinstance(values, list) and values for values in entry.values()):
        raise InputError(
            "A field that another depends on must have a list of values",
            received=entry,
            where=where,
            action=f"{_EXAMPLE} has an example",
        )
    return {path: tuple(map(as_text, values)) for path, values in entry.items()}
