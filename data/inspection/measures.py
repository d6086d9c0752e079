"""Measures of skew and of order on counts."""

from __future__ import annotations

import numpy as np

HEAD_SHARE = 0.01


def gini(counts: np.ndarray, of_all: bool = False) -> float:
    """Returns the Gini coefficient of counts of shape (ids,): 0 if all are equal, 1 at most.

    Half the mean absolute difference of two ids' counts, divided by the mean count.

    Args:
        counts: How often each id occurs.
        of_all: Whether ids that do not occur are among them, or left out.
    """
    seen = np.sort(counts if of_all else counts[counts > 0]).astype(np.float64)
    if not seen.sum():
        return float("nan")
    ranks = np.arange(1, len(seen) + 1)
    return float(((2 * ranks - len(seen) - 1) * seen).sum() / (len(seen) * seen.sum()))


def head_share(counts: np.ndarray, share: float = HEAD_SHARE) -> float:
    """Returns what the most frequent share of the ids (at least one id) has of all values."""
    seen = np.sort(counts[counts > 0])[::-1]
    if not len(seen):
        return float("nan")
    return float(seen[: int(np.ceil(share * len(seen)))].sum() / seen.sum())


def area_under_curve(negatives: np.ndarray, positives: np.ndarray) -> float:
    """Returns the area under the ROC curve of scores that were counted by value.

    Args:
        negatives: Rows with label 0 at each score, scores ascending: (scores,).
        positives: The same of label 1.

    Returns:
        The chance that a row with label 1 has the higher score, ties counting half; NaN where a
        label is missing.
    """
    pairs = float(negatives.sum()) * float(positives.sum())
    if not pairs:
        return float("nan")
    below = np.cumsum(negatives) - negatives / 2
    return float((positives * below).sum() / pairs)
