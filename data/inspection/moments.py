"""Mean and standard deviation of values that come in parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Mean and spread of some values.

    Attributes:
        count: Number of values.
        mean: Their mean.
        squares: Sum of the squared distances from it.
        minimum, maximum: The smallest and the largest.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    minimum: float = np.inf
    maximum: float = -np.inf

    @staticmethod
    def of(values: np.ndarray) -> Moments:
        """Returns the moments of values of shape (values,); NaN and infinities are left out."""
        exact = values.astype(np.float64)
        exact = exact[np.isfinite(exact)]
        if not len(exact):
            return Moments()
        mean = float(exact.mean())
        squares = float(((exact - mean) ** 2).sum())
        return Moments(len(exact), mean, squares, float(exact.min()), float(exact.max()))

    def __add__(self, other: Moments) -> Moments:
        """Returns the moments of both together (Chan et al. 1979)."""
        count = self.count + other.count
        if not count:
            return self
        apart, weight = other.mean - self.mean, other.count / count
        return Moments(
            count,
            self.mean + apart * weight,
            self.squares + other.squares + apart**2 * self.count * weight,
            min(self.minimum, other.minimum),
            max(self.maximum, other.maximum),
        )

    @property
    def stddev(self) -> float:
        """Standard deviation of the population; 0 of no values."""
        return float(np.sqrt(self.squares / self.count)) if self.count else 0.0
