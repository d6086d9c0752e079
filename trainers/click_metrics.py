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
    _, place = np.unique(scores, return_inverse=True)
    positives = np.bincount(place, weights=labels)
    negatives = np.bincount(place) - positives
    below = np.cumsum(negatives) - negatives
    pairs = positives.sum() * negatives.sum()
    wins = float(np.sum(positives * (below + negatives / 2)))
    return wins / pairs if pairs else float("nan")


def logloss(labels: np.ndarray, logits: np.ndarray) -> float:
    """Returns the mean of -log p(label), natural logarithm, from logits of shape (N,)."""
    logits = logits.astype(np.float64)
    return float(np.mean(np.logaddexp(0.0, logits) - labels * logits))


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
    probability = np.exp(-np.logaddexp(0.0, -logits))
    uninformed, clicks = entropy(share), labels.sum()
    return {
        "auc": auc(labels, logits),
        "logloss": loss,
        "normalised_entropy": loss / uninformed if uninformed else float("nan"),
        "calibration": float(probability.sum() / clicks) if clicks else float("nan"),
        "accuracy": float(np.mean((logits > 0) == (labels > 0.5))),
    }
