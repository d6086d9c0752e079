"""Columns of synthetic clicks: how values are drawn, and what each adds to the logit.

Shape letters: R rows of a block, H longest list of a column.
"""

from __future__ import annotations

import numpy as np

from data.synthetic_shape import CategoricalShape, NumericShape

BLOCK_ROWS = 16_384
MAX_COUNT = 99_999_999  # eight digits
_EXACT_RANKS = 4096
_QUANTILES = 1 << 12  # steps of a distribution, each as likely as the others; uniform within


class NumberColumn:
    """Draws one numeric column."""

    def __init__(self, shape: NumericShape) -> None:
        self.shape = shape
        # The outermost steps end within themselves: the distribution's own ends are 0 and infinity.
        u = np.clip(np.arange(_QUANTILES + 1) / _QUANTILES, 0.1 / _QUANTILES, 1 - 0.1 / _QUANTILES)
        values = np.minimum(shape.median * (u / (1 - u)) ** shape.spread, MAX_COUNT)
        self._distribution = _Distribution(values)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Returns counts of shape (R,), int32; -1 is missing."""
        counts = self._distribution.draw(rng, BLOCK_ROWS)
        if self.shape.missing:
            counts[rng.random(BLOCK_ROWS) < self.shape.missing] = -1
        return counts.astype(np.int32)

    def effects(self, counts: np.ndarray) -> np.ndarray:
        """Returns log(1 + x), of shape (R,)."""
        return np.log((np.maximum(counts, 0) + 1).astype(np.float32))


class CategoryColumn:
    """Draws one categorical column."""

    def __init__(self, shape: CategoricalShape, seed: int, index: int) -> None:
        self.shape = shape
        state = np.random.SeedSequence([seed, index]).generate_state(2, np.uint32)
        self._id_key, self._effect_key = state
        self._distribution = _Distribution(_zipf_quantiles(shape))

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns raw ids of shape (R, H), uint32, and which of them there are; None for all."""
        shortest, longest = self.shape.hotness[0], self.shape.hotness[-1]
        ranks = self._distribution.draw(rng, BLOCK_ROWS * longest)
        # A rounded sum may reach the distribution's end.
        ranks = np.minimum(ranks, self.shape.cardinality - 1).astype(np.uint32)
        raw_ids = _mixed(ranks ^ self._id_key).reshape(BLOCK_ROWS, longest)
        present = np.ones((1, longest), bool)
        if shortest < longest:
            lengths = rng.integers(shortest, longest, (BLOCK_ROWS, 1), endpoint=True)
            present = np.arange(longest) < lengths
        if self.shape.missing:
            found = rng.random((BLOCK_ROWS, 1)) >= self.shape.missing
            present = present & found
        return raw_ids, present if len(present) == BLOCK_ROWS else None

    def effects(self, raw_ids: np.ndarray, present: np.ndarray | None) -> np.ndarray:
        """Returns the mean effect of each row's raw ids, of shape (R,)."""
        effects = _mixed(raw_ids ^ self._effect_key).view(np.int32) * np.float32(2.0**-31)
        if present is None:
            return effects[:, 0] if effects.shape[1] == 1 else effects.mean(axis=1)
        if effects.shape[1] == 1:
            return effects[:, 0] * present[:, 0]
        return (effects * present).sum(axis=1) / np.maximum(present.sum(axis=1), 1)


class _Distribution:
    """Draws by the inverse of a cumulative distribution, linear between its quantiles.

    Args:
        quantiles: At even steps from 0 to 1, ascending, of shape (steps + 1,).
    """

    def __init__(self, quantiles: np.ndarray) -> None:
        self._low, self._width = quantiles[:-1], np.diff(quantiles)

    def draw(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Returns values rounded down, of shape (size,), int64."""
        place = rng.random(size)
        place *= len(self._low)
        step = place.astype(np.int64)
        place -= step
        place *= self._width[step]
        place += self._low[step]
        return place.astype(np.int64)


def _zipf_quantiles(shape: CategoricalShape) -> np.ndarray:
    """Returns the quantiles of ranks from 0, of shape (steps + 1,): rank k fills k to k + 1."""
    exact = min(shape.cardinality, _EXACT_RANKS)
    edges = np.arange(exact + 1.0)
    masses = np.arange(1.0, exact + 1) ** -shape.zipf
    if shape.cardinality > exact:  # the sum over many ranks is near the integral
        tail = np.geomspace(exact, shape.cardinality, _QUANTILES + 1)
        middle = (tail[1:] + tail[:-1]) / 2
        edges = np.concatenate([edges, tail[1:]])
        masses = np.concatenate([masses, np.diff(tail) * (middle + 0.5) ** -shape.zipf])
    ends = np.concatenate([[0.0], np.cumsum(masses)])
    return np.interp(np.linspace(0, 1, _QUANTILES + 1), ends / ends[-1], edges)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Returns a permutation of the numbers of 32 bits that leaves no pattern: uint32."""
    values = values ^ (values >> np.uint32(16))
    values *= np.uint32(0x7FEB352D)
    values ^= values >> np.uint32(15)
    values *= np.uint32(0x846CA68B)
    values ^= values >> np.uint32(16)
    return values
