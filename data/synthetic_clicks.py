"""Rows of clicks from a known logistic model, so that the best reachable AUC is known.

    P(label = 1 | row) = sigmoid(b + s sum_c sqrt(w_c) e_c(row) / stddev_c)

e_c is log(1 + x) of a numeric column; of a categorical one it is a hash of (seed, column, raw id)
in [-1, 1), the mean over a list, 0 where there is none. A missing number counts as 0, which is what
the feature spec puts there: all that decides the label is in the prepared data. s and b make the
logit's standard deviation the shape's `signal` and the expected click rate its `click_rate`, as
measured on the first rows.

The logit is bounded, and rounded to multiples of 1/1024: counting labels by logit is then all it
takes for the exact AUC and logloss of the true probabilities, whatever the number of rows.

Rows come in blocks: block n is a function of (shape, seed, n) alone.
Shape letters: R rows, H longest list of a column.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from data.synthetic_columns import BLOCK_ROWS, CategoryColumn, NumberColumn
from data.synthetic_shape import ClickShape

_MEASURED_BLOCKS = 4
_MAX_LOGIT, _STEPS = 16, 1024
_LOGITS = np.arange(-_MAX_LOGIT * _STEPS, _MAX_LOGIT * _STEPS + 1) / _STEPS


@dataclass(frozen=True)
class ClickBlock:
    """Some rows.

    Attributes:
        labels: 0 or 1, of shape (R,), uint8.
        logits: Positions among all possible logits, of shape (R,), int64.
        numbers: By numeric column, counts of shape (R,), int32; -1 is missing.
        raw_ids: By categorical column, of shape (R, H), uint32.
        present: By the same, which of them there are: of shape (R, H), or None for all.
    """

    labels: np.ndarray
    logits: np.ndarray
    numbers: dict[str, np.ndarray]
    raw_ids: dict[str, np.ndarray]
    present: dict[str, np.ndarray | None]

    def rows(self, start: int, stop: int) -> ClickBlock:
        """Returns the rows from `start` to before `stop`."""
        part = slice(start, stop)
        return ClickBlock(
            self.labels[part],
            self.logits[part],
            {name: values[part] for name, values in self.numbers.items()},
            {name: values[part] for name, values in self.raw_ids.items()},
            {name: v if v is None else v[part] for name, v in self.present.items()},
        )


class ClickModel:
    """What draws rows.

    Args:
        shape: Their columns.
        seed: Seed of everything.
    """

    def __init__(self, shape: ClickShape, seed: int) -> None:
        self.shape, self._seed = shape, seed
        self._columns: list[NumberColumn | CategoryColumn] = [
            *(NumberColumn(column) for column in shape.numeric),
            *(CategoryColumn(c, seed, index) for index, c in enumerate(shape.categorical)),
        ]
        self._fit()

    def blocks(self, start: int, stop: int) -> Iterator[ClickBlock]:
        """Yields the rows from `start` to before `stop`."""
        for index in range(start // BLOCK_ROWS, -(-stop // BLOCK_ROWS)):
            first = index * BLOCK_ROWS
            yield self._block(index).rows(max(start - first, 0), min(stop - first, BLOCK_ROWS))

    def _block(self, index: int) -> ClickBlock:
        rng = np.random.default_rng([self._seed, index])
        logit = np.full(BLOCK_ROWS, self._intercept)
        numbers, raw_ids, present = {}, {}, {}
        for column, scale in zip(self._columns, self._scales, strict=True):
            name = column.shape.name
            if isinstance(column, NumberColumn):
                numbers[name] = column.draw(rng)
                logit += scale * column.effects(numbers[name])
            else:
                raw_ids[name], present[name] = column.draw(rng)
                logit += scale * column.effects(raw_ids[name], present[name])
        bounded = np.clip(logit, -_MAX_LOGIT, _MAX_LOGIT)
        logits = np.rint((bounded + _MAX_LOGIT) * _STEPS).astype(np.int64)
        labels = rng.random(BLOCK_ROWS) < _PROBABILITIES[logits]
        return ClickBlock(labels.view(np.uint8), logits, numbers, raw_ids, present)

    def _fit(self) -> None:
        """Sets the scale of each column's effects and the intercept by the first rows."""
        measured = [self._raw_effects(index) for index in range(_MEASURED_BLOCKS)]
        effects = np.concatenate(measured, axis=1)
        weights = np.sqrt([column.shape.weight for column in self._columns])
        stddev = effects.std(axis=1)
        scales = np.divide(weights, stddev, out=np.zeros_like(stddev), where=stddev > 1e-9)
        logit = scales @ effects
        spread = logit.std()
        factor = self.shape.signal / spread if spread > 0 else 0.0
        self._scales = scales * factor
        self._intercept = _intercept(logit * factor, self.shape.click_rate)

    def _raw_effects(self, index: int) -> np.ndarray:
        """Returns e_c of a block, of shape (columns, R)."""
        rng = np.random.default_rng([self._seed, index])
        effects = []
        for column in self._columns:
            if isinstance(column, NumberColumn):
                effects.append(column.effects(column.draw(rng)))
            else:
                effects.append(column.effects(*column.draw(rng)))
        return np.stack(effects)


class ClickTruth:
    """Counts rows, to score the true probabilities on them."""

    def __init__(self) -> None:
        self._counts = np.zeros((len(_LOGITS), 2), np.int64)

    def add(self, block: ClickBlock) -> None:
        """Counts the rows of a block."""
        cells = np.bincount(2 * block.logits + block.labels, minlength=self._counts.size)
        self._counts += cells.reshape(self._counts.shape)

    def facts(self) -> dict[str, float | int | None]:
        """Returns `rows`, `click_rate`, `best_auc` and `best_logloss`.

        The AUC is None where all labels are equal.
        """
        without, clicks = self._counts.T
        pairs = float(without.sum()) * float(clicks.sum())
        below = np.cumsum(without) - without
        in_order = float(clicks @ (below + without / 2))
        loss = clicks @ np.logaddexp(0, -_LOGITS) + without @ np.logaddexp(0, _LOGITS)
        rows = int(self._counts.sum())
        return {
            "rows": rows,
            "click_rate": float(clicks.sum() / rows),
            "best_auc": in_order / pairs if pairs else None,
            "best_logloss": float(loss / rows),
        }


def _intercept(logits: np.ndarray, click_rate: float) -> float:
    """Returns what makes the mean probability the click rate, by bisection."""
    low, high = -2.0 * _MAX_LOGIT, 2.0 * _MAX_LOGIT
    for _ in range(50):
        middle = (low + high) / 2
        if _sigmoid(logits + middle).mean() < click_rate:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -logits))


_PROBABILITIES = _sigmoid(_LOGITS)
