"""What `trainers.tune` may search: typed ranges of config fields, declared beside the recipes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from configs.base import RunConfig
from configs.overrides import apply_overrides, as_text, field_paths, parse, type_of
from data.errors import InputError, nearest

Conditions = Mapping[str, tuple[Any, ...]]

# Trials are compared by what these say, or differ by luck alone.
_THE_SAME_FOR_ALL = ("evaluation.", "trainer.fit_on", "trainer.monitor", "trainer.seed")


@dataclass(frozen=True)
class Uniform:
    """Numbers between two bounds, both included.

    Attributes:
        path: The field, such as `model.dropout`.
        low: Lowest value.
        high: Highest value.
        when: Other fields by path, with the values for which this one matters; it is searched with
            those alone.
    """

    path: str
    low: float
    high: float
    when: Conditions = field(default_factory=dict)

    name: ClassVar[str] = "uniform"
    type: ClassVar[type] = float
    is_log: ClassVar[bool] = False

    def contains(self, value: Any) -> bool:
        """Returns whether a search could find the value."""
        return bool(self.low <= value <= self.high)

    def proposed(self, value: Any) -> float | str:
        """Returns the value as a sampler proposes it."""
        return float(value) if self.type is float else int(value)

    def ends(self) -> tuple[str, ...]:
        """Returns the extremes, as `--set` reads them."""
        return as_text(self.low), as_text(self.high)


class LogUniform(Uniform):
    """The same, equally many between 0.001 and 0.01 as between 0.01 and 0.1."""

    name = "log_uniform"
    is_log = True


class Integer(Uniform):
    """Whole numbers between two bounds, both included."""

    name = "integer"
    type = int


class LogInteger(Integer):
    """The same, equally many between 10 and 100 as between 100 and 1,000."""

    name = "log_integer"
    is_log = True


@dataclass(frozen=True)
class Choice:
    """One of some values, in no order.

    Attributes:
        path: The field, such as `model.hidden`.
        values: The values; lists of numbers are tuples.
        when: As of `Uniform`.
    """

    path: str
    values: tuple[Any, ...]
    when: Conditions = field(default_factory=dict)

    name: ClassVar[str] = "choice"

    def contains(self, value: Any) -> bool:
        """Returns whether a search could find the value."""
        return as_text(value) in self.ends()

    def proposed(self, value: Any) -> float | str:
        """Returns the value as a sampler proposes it."""
        return as_text(value)

    def ends(self) -> tuple[str, ...]:
        """Returns the values, as `--set` reads them."""
        return tuple(map(as_text, self.values))


Dimension = Uniform | Choice


def applies(dimension: Dimension, values: Mapping[str, Any]) -> bool:
    """Returns whether a dimension matters beside values of the other fields, by path."""
    return all(
        as_text(values[path]) in map(as_text, wanted) for path, wanted in dimension.when.items()
    )


def that_can_apply(space: Sequence[Dimension], config: RunConfig) -> tuple[Dimension, ...]:
    """Returns the dimensions that matter to some trial: what they depend on is searched, or set so.

    Args:
        space: The dimensions.
        config: The recipe, with what `--set` fixes.
    """
    searched, fixed = {dimension.path for dimension in space}, field_paths(config)
    return tuple(
        dimension
        for dimension in space
        if all(
            path in searched or path not in fixed or as_text(fixed[path]) in map(as_text, wanted)
            for path, wanted in dimension.when.items()
        )
    )


def check_space(space: Sequence[Dimension], config: RunConfig) -> None:
    """Checks that each dimension names a field, has room to search, and gives valid configs.

    Args:
        space: The dimensions.
        config: The recipe to start from.

    Raises:
        InputError: One does not; the nearest fields are named.
    """
    if not space:
        raise InputError(
            "There must be something to search",
            received=f"no search space for '{config.model_name}' but for what --set fixes",
            action="Declare one in a file: --space=FILE.yaml",
        )
    paths = [dimension.path for dimension in space]
    for place, dimension in enumerate(space):
        if paths.count(dimension.path) > 1:
            raise _wrong(dimension, "must search each field once", "twice")
        _check_dimension(dimension, config)
        for path, wanted in dimension.when.items():
            if path in paths[place:]:
                raise _wrong(dimension, "must stand below what it depends on", repr(path))
            for value in wanted:
                parse(as_text(value), type_of(config, path), path)


def _check_dimension(dimension: Dimension, config: RunConfig) -> None:
    path, known = dimension.path, field_paths(config)
    if path not in known:
        raise InputError(
            "A search space must name existing fields",
            received=repr(path),
            action=nearest(path, known),
        )
    if path.startswith(_THE_SAME_FOR_ALL):
        raise _wrong(dimension, "must leave alone what trials are compared by", repr(path))
    if isinstance(dimension, Choice):
        if len(set(dimension.ends())) < max(2, len(dimension.values)):
            raise _wrong(dimension, "must have two different values or more", dimension.values)
    elif type(known[path]) is not dimension.type:
        of_type = f"a field of type {type(known[path]).__name__}"
        raise _wrong(dimension, f"goes with fields of type {dimension.type.__name__}", of_type)
    elif not dimension.low < dimension.high:
        raise _wrong(dimension, "must have its low bound first", asdict(dimension))
    elif dimension.is_log and dimension.low <= 0:
        raise _wrong(dimension, "must have bounds above 0", asdict(dimension))
    for end in dimension.ends():
        try:
            apply_overrides(config, [f"{path}={end}"])
        except InputError as error:
            raise _wrong(dimension, f"must hold values that may be: {path}={end}", error) from error


def _wrong(dimension: Dimension, rule: str, received: object) -> InputError:
    return InputError(f"`{dimension.name}` of {dimension.path} {rule}", received=received)


def without_fixed(space: Sequence[Dimension], assignments: Sequence[str]) -> tuple[Dimension, ...]:
    """Returns the dimensions whose field no `--set` fixes."""
    fixed = {assignment.partition("=")[0].strip() for assignment in assignments}
    return tuple(dimension for dimension in space if dimension.path not in fixed)


def space_to_json(space: Sequence[Dimension]) -> Iterator[dict[str, Any]]:
    """Yields each dimension as JSON values."""
    for dimension in space:
        values = asdict(dimension)
        if not dimension.when:
            del values["when"]
        yield {"path": values.pop("path"), "kind": dimension.name, **values}
