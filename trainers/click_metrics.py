"""Metrics of predicted click probabilities, exact over all rows.

Legend: N rows.
"""

from __future__ import annotations

import numpy as np

NAMES = ("auc", "logloss", "normalised_entropy", "calibration", "accuracy")


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Returns the area under the ROC curve: how often a click outscores a non-click.

    A tie counts half (Mann-Whitney), so a constant scorer gets 0.5.

    Args:
        labels: 0 or 1, shape (N,).
        scores: Any monotone function of the probability, shape (N,).

    Returns:
        NaN where all labels are equal.
    """
    _, positives, negatives = _counts_by_score(labels, scores)
    below = np.cumsum(negatives) - negatives
    pairs = positives.sum() * negatives.sum()
    wins = float(np.sum(positives * (below + negatives / 2)))
    return wins / pairs if pairs else float("nan")


def auc_parts(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns, of each row, the share of the rows with the other label that it is in order with.

    Args:
        labels: 0 or 1, both, shape (N,).
        scores: Shape (N,).

    Returns:
        Shape (N,), float64; the mean over the clicks, and that over the others, is the AUC.
    """
    place, positives, negatives = _counts_by_score(labels, scores)
    below = (np.cumsum(negatives) - negatives / 2) / negatives.sum()
    above = 1 - (np.cumsum(positives) - positives / 2) / positives.sum()
    return np.where(labels > 0.5, below[place], above[place])


def _counts_by_score(
    labels: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns each row's place among the scores, and the clicks and non-clicks of each score."""
    _, place = np.unique(scores, return_inverse=True)
    positives = np.bincount(place, weights=labels)
    return place, positives, np.bincount(place) - positives


def logloss(labels: np.ndarray, logits: np.ndarray) -> float:
    """Returns the mean of -log p(label), natural logarithm, from logits of shape (N,)."""
    return float(np.mean(row_losses(labels, logits)))


def row_losses(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Returns -log p(label) of each row, natural logarithm: shape (N,), float64."""
    logits = logits.astype(np.float64)
    return np.logaddexp(0.0, logits) - labels * logits


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Returns the probability of a click from logits of shape (N,), float64."""
    return np.exp(-np.logaddexp(0.0, -logits))


def entropy(share: float) -> float:
    """Returns the logloss of always predicting the share of clicks."""
    if not 0 < share < 1:
        return 0.0
    return float(-share * np.log(share) - (1 - share) * np.log(1 - share))


def click_metrics(labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """Returns every metric of `NAMES`.

    normalised_entropy: logloss divided by that of always predicting the rows' own share of clicks
    (He et al. 2014, section 2.1); below 1 is better than knowing nothing but the share.
    calibration: sum of the probabilities divided by the number of clicks; 1 is best.
    accuracy: share of rows whose probability lies on the label's side of one half.

    Args:
        labels: 0 or 1, shape (N,).
        logits: Shape (N,).
    """
    labels, logits = labels.astype(np.float64), logits.astype(np.float64)
    loss, share = logloss(labels, logits), float(labels.mean())
    probability = probabilities(logits)
    uninformed, clicks = entropy(share), labels.sum()
    return {
        "auc": auc(labels, logits),
        "logloss": loss,
        "normalised_entropy": loss / uninformed if uninformed else float("nan"),
        "calibration": float(probability.sum() / clicks) if clicks else float("nan"),
        "accuracy": float(np.mean((logits > 0) == (labels > 0.5))),
    }
