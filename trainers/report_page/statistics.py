"""Intervals and tests on values of the same users or rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and the confidence interval around it; NaN where one value tells no spread."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedTest:
    """Whether two runs differ on the same users or rows.

    Attributes:
        difference: Mean of the differences, with its interval.
        p: Two-sided p-value of a paired t-test.
    """

    difference: Interval
    p: float


def mean_interval(values: np.ndarray) -> Interval:
    """Returns the mean of values of shape (N,) with Student's interval.

    It is the normal approximation to the mean's distribution, which for hundreds of users or more
    is what a bootstrap over them gives, at a fraction of its time.
    """
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, float("nan"), float("nan"))
    error = float(values.std(ddof=1)) / len(values) ** 0.5
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
    return Interval(mean, mean - half, mean + half)


def paired_test(values: np.ndarray, others: np.ndarray) -> PairedTest:
    """Tests whether `values` differ from `others`, both of the same users or rows: (N,)."""
    differences = values - others
    interval = mean_interval(differences)
    if not differences.any():
        return PairedTest(interval, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):  # of differences that are all the same
        error = differences.std(ddof=1) / len(differences) ** 0.5
        statistic = abs(interval.mean) / error
    return PairedTest(interval, float(2 * stats.t.sf(statistic, len(differences) - 1)))


def share_interval(hits: float, of: float) -> Interval:
    """Returns a share with Wilson's interval, which holds for few hits, too.

    Args:
        hits: How many; a mean over runs is rounded.
        of: Of how many, at least one.
    """
    found = stats.binomtest(round(hits), round(of)).proportion_ci(CONFIDENCE, method="wilson")
    return Interval(hits / of, float(found.low), float(found.high))


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values corrected for their number (Holm 1979), in the given order.

    To call all differences real whose corrected value is below 0.05 errs with one of them or more
    at most once in twenty pages.
    """
    order = np.argsort(p_values)
    scaled = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return corrected.tolist()
