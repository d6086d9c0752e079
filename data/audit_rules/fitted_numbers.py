"""Statistics of numbers must be those of train."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from itertools import combinations
from operator import add

import numpy as np

from data.audit_rules.rule import Finding, Rule, Verdict, columns_of
from data.feature import Feature, Kind
from data.inspection.moments import Moments
from data.inspection.scan import was_appended
from data.row_stream import Rows, flat
from data.schema import Schema
from data.spec.transforms import apply, unfitted

TOLERANCE = 1e-6
_DIGITS = 1e-9  # of the mean itself, which sums in another order may lose


@dataclass
class _Number:
    """What the schema says of one number, and the moments of its rows, by split."""

    column: str
    feature: Feature
    moments: dict[str, Moments] = field(default_factory=dict)
    shaped: dict[str, Moments] = field(default_factory=dict)

    def add(self, split: str, values: np.ndarray) -> None:
        """Adds stored values of shape (rows,)."""
        self.moments[split] = self.moments.get(split, Moments()) + Moments.of(values)
        if self.normalise():
            shaped = Moments.of(apply(unfitted(self.feature.transforms), values))
            self.shaped[split] = self.shaped.get(split, Moments()) + shaped

    def normalise(self) -> tuple[float, ...]:
        """Returns mean and standard deviation of the transform `normalise`, if there is one."""
        fitted = [t.values for t in self.feature.transforms if t.name == "normalise"]
        return fitted[0] if fitted else ()

    def is_of(self, splits: tuple[str, ...], tolerance: float) -> bool:
        """Whether the statistics of the schema are those of these splits together."""
        stated = self.feature.statistics
        found = _together(self.moments, splits)
        if stated is not None and not (
            _close((stated.mean, stated.stddev), found, tolerance)
            and (stated.minimum, stated.maximum) == (found.minimum, found.maximum)
        ):
            return False
        normalise = self.normalise()
        return not normalise or _close(normalise, _together(self.shaped, splits), tolerance)

    def differences(self, tolerance: float) -> str:
        """Returns what the schema says and train does not hold."""
        stated, train, parts = self.feature.statistics, self.moments["train"], []
        if stated is not None:
            room = {"mean": _room(train, tolerance), "stddev": _room(train, tolerance)}
            for name in ("mean", "stddev", "minimum", "maximum"):
                said, held = getattr(stated, name), getattr(train, name)
                if abs(said - held) > room.get(name, 0.0):
                    parts.append(f"{name} {said:.9g} (train: {held:.9g})")
        normalise = self.normalise()
        if normalise and not _close(normalise, self.shaped["train"], tolerance):
            held = self.shaped["train"]
            parts.append(
                f"normalise by mean {normalise[0]:.9g} and stddev {normalise[1]:.9g} (train: "
                f"{held.mean:.9g} and {held.stddev:.9g})"
            )
        return ", ".join(parts)


class FittedNumbers(Rule):
    """Fits the statistics of numbers again, on train and then on other mixes of the splits.

    Mean, standard deviation, smallest and largest value, and what `normalise` was fitted to;
    quantiles and the statistics of attributes are not looked at.

    Args:
        schema: The dataset's schema.
        tolerance: Largest difference of means and standard deviations, in standard deviations.
    """

    name = "statistics"

    def __init__(self, schema: Schema, tolerance: float = TOLERANCE) -> None:
        self._tolerance = tolerance
        self._appended = was_appended(schema)
        columns = columns_of(schema, Kind.NUMERIC)
        numbers = [_Number(c.name, schema.feature(c.feature)) for c in columns if not c.ragged]
        self._numbers = [n for n in numbers if n.feature.statistics or n.normalise()]

    def see_train(self, rows: Rows) -> None:
        """Adds the values."""
        self.see_held_out_again("train", rows)

    def see_held_out_again(self, split: str, rows: Rows) -> None:
        """Adds the values."""
        for number in self._numbers:
            number.add(split, flat(rows[number.column]))

    def verdict(self) -> Verdict:
        """Returns a finding for each number whose statistics are not those of train."""
        if not self._numbers:
            return Verdict("no numbers with statistics", checked=False)
        result = Verdict(f"mean, stddev and range of {len(self._numbers):,} numbers")
        for number in self._numbers:
            mixes = [mix for mix in _mixes(number.moments) if number.is_of(mix, self._tolerance)]
            if ("train",) in mixes:
                continue
            if not mixes and self._appended:
                result.notes.append(
                    f"'{number.column}' has other statistics than train: they were fitted before "
                    "rows were added (--append)"
                )
            else:
                result.findings.append(self._finding(number, mixes[0] if mixes else ()))
        return result

    def _finding(self, number: _Number, mix: tuple[str, ...]) -> Finding:
        if mix:
            source = f"{' + '.join(mix)} {'have' if len(mix) > 1 else 'has'} just these"
            action = "Fit statistics on train only: prepare the dataset again"
        else:
            source = "no mix of the splits has these"
            action = (
                "Were rows added, removed or changed after fitting? Prepare the dataset again. "
                f"Where that is meant: --ignore={self.name}:{number.column}"
            )
        return Finding(
            self.name,
            number.column,
            f"schema.json says {number.differences(self._tolerance)}; {source}",
            f"schema.json, feature '{number.feature.name}'",
            action,
        )


def _together(moments: dict[str, Moments], splits: tuple[str, ...]) -> Moments:
    return reduce(add, (moments[split] for split in splits))


def _close(stated: tuple[float, ...], found: Moments, tolerance: float) -> bool:
    room = _room(found, tolerance)
    return all(abs(s - f) <= room for s, f in zip(stated, (found.mean, found.stddev), strict=True))


def _room(found: Moments, tolerance: float) -> float:
    return tolerance * found.stddev + _DIGITS * abs(found.mean)


def _mixes(moments: dict[str, Moments]) -> list[tuple[str, ...]]:
    """Returns all mixes of the splits, larger ones first."""
    splits = list(moments)
    return [mix for size in range(len(splits), 0, -1) for mix in combinations(splits, size)]
