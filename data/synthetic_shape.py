"""The shape of synthetic click data: which columns, how many categories, how skewed."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.spec.parsing import convert
from data.spec.yaml_text import block, check_keys, read_yaml

SHIPPED = Path(__file__).with_name("shapes")
LABEL = "label"
MAX_CARDINALITY = 2**32  # a raw id is a text of 32 bits
_LEAST_SCALED = 10
_PARTS = ("name", "click_rate", "signal", "numeric", "categorical")


@dataclass(frozen=True)
class NumericShape:
    """A column of counts: log-logistic, rounded down, so heavy-tailed.

    Attributes:
        name: The column.
        median: Of the counts before rounding.
        spread: How far they spread: a count is the median times (u / (1 - u))^spread, u uniform.
        missing: Share of rows without a value.
        weight: Its share of the variance of the logit, relative to the other columns.
    """

    name: str
    median: float = 10.0
    spread: float = 1.0
    missing: float = 0.0
    weight: float = 1.0


@dataclass(frozen=True)
class CategoricalShape:
    """A column of raw ids.

    Attributes:
        name: The column.
        cardinality: Number of categories.
        zipf: Exponent of their skew: the k-th most frequent one has probability ~ 1 / k^zipf.
        hotness: Length of a row's list, or the shortest and the longest one; 1 for a single raw id.
            A list may hold a raw id twice.
        missing: Share of rows without any.
        weight: Its share of the variance of the logit, relative to the other columns.
    """

    name: str
    cardinality: int
    zipf: float = 1.05
    hotness: tuple[int, ...] = (1,)
    missing: float = 0.0
    weight: float = 1.0

    @property
    def is_list(self) -> bool:
        """Whether a row holds a list."""
        return self.hotness != (1,)


ColumnShape = NumericShape | CategoricalShape


@dataclass(frozen=True)
class ClickShape:
    """The shape of a table of clicks.

    Attributes:
        numeric: Columns of numbers.
        categorical: Columns of raw ids.
        name: Name of the data, for people.
        click_rate: Expected share of label 1.
        signal: Standard deviation of the logit, which sets the best AUC.
    """

    numeric: tuple[NumericShape, ...]
    categorical: tuple[CategoricalShape, ...]
    name: str = "clicks"
    click_rate: float = 0.25
    signal: float = 1.3

    @property
    def columns(self) -> list[ColumnShape]:
        """All columns but the label, in the order of the files."""
        return [*self.numeric, *self.categorical]

    @property
    def names(self) -> list[str]:
        """Names of all columns, the label's first."""
        return [LABEL, *(column.name for column in self.columns)]

    def scaled(self, factor: float) -> ClickShape:
        """Returns the shape with cardinalities times a factor; none falls below 10 by that."""
        columns = []
        for column in self.categorical:
            least = min(column.cardinality, _LEAST_SCALED)
            scaled = min(max(round(column.cardinality * factor), least), MAX_CARDINALITY)
            columns.append(dataclasses.replace(column, cardinality=scaled))
        return dataclasses.replace(self, categorical=tuple(columns))


def load_shape(path: Path) -> ClickShape:
    """Reads a shape.

    Raises:
        InputError: No YAML, an unknown key, or a value that is out of its range, with its place.
    """
    return parse_shape(read_yaml(path), path)


def parse_shape(value: Any, where: object) -> ClickShape:
    """Builds a shape from the content of a YAML file.

    Args:
        value: The content.
        where: The file, for messages.

    Raises:
        InputError: As of `load_shape`.
    """
    body = dict(_block(value, f"{where}"))
    check_keys(body, _PARTS, f"{where}")
    columns: dict[str, Any] = {}
    for part, kind in (("numeric", NumericShape), ("categorical", CategoricalShape)):
        entries = _block(body.pop(part, {}), f"{where}, {part}")
        columns[part] = tuple(
            _column(kind, name, entry, f"{where}, {part}.{name}") for name, entry in entries.items()
        )
    shape = ClickShape(**columns, **_values(ClickShape, body, f"{where}"))
    _check(shape, where)
    return shape


def _column(kind: type, name: Any, entry: Any, where: str) -> Any:
    if not str(name).isidentifier():
        raise InputError(
            "The name of a column must be of letters, digits and _",
            received=repr(name),
            where=where,
        )
    known = [f.name for f in dataclasses.fields(kind) if f.name != "name"]
    body = _block(entry, where)
    check_keys(body, known, where)
    if kind is CategoricalShape and "cardinality" not in body:
        raise InputError(
            "A categorical column must have a cardinality",
            received=", ".join(body) or "nothing",
            where=where,
        )
    return kind(name=str(name), **_values(kind, body, where))


def _values(kind: type, body: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Returns the values of a block, each checked by the type of its field."""
    hints = typing.get_type_hints(kind)
    return {key: convert(value, hints[key], f"{where}, {key}") for key, value in body.items()}


def _block(value: Any, where: str) -> dict[str, Any]:
    return block(value, where, str(SHIPPED / "criteo_1tb.yaml"))


def _check(shape: ClickShape, where: object) -> None:
    columns, names = shape.columns, shape.names
    for name in names:
        _require(names.count(name) == 1, "A column must have a name of its own", name, where)
    _require(bool(columns), "The shape must have columns", "none", where)
    rate, signal = shape.click_rate, shape.signal
    _require(0 < rate < 1, "click_rate must be between 0 and 1", rate, where)
    _require(0 <= signal <= 5, "signal must be from 0 to 5", signal, where)
    for column in columns:
        at = f"{where}, {column.name}"
        rule = "missing must be at least 0 and below 1"
        _require(0 <= column.missing < 1, rule, column.missing, at)
        _require(0 <= column.weight < 1e6, "weight must be at least 0", column.weight, at)
    for number in shape.numeric:
        at = f"{where}, {number.name}"
        _require(0 < number.median <= 1e6, "median must be above 0, to 1e6", number.median, at)
        _require(0 <= number.spread <= 5, "spread must be from 0 to 5", number.spread, at)
    for category in shape.categorical:
        at, hotness = f"{where}, {category.name}", category.hotness
        rule = f"cardinality must be from 1 to {MAX_CARDINALITY:,}"
        _require(1 <= category.cardinality <= MAX_CARDINALITY, rule, category.cardinality, at)
        _require(0 <= category.zipf <= 5, "zipf must be from 0 to 5", category.zipf, at)
        is_range = len(hotness) in (1, 2) and hotness[0] <= hotness[-1] and 1 <= hotness[-1] <= 1000
        rule = "hotness must be a length of lists, or the shortest and the longest, up to 1000"
        _require(is_range, rule, list(hotness), at)


def _require(holds: bool, rule: str, received: Any, where: object) -> None:
    if not holds:
        raise InputError(rule, received=received, where=where)
