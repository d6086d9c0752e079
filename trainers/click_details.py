"""What an evaluation knows of each row of a click task, before any mean is taken.

Legend: N rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainers.click_metrics import auc_parts, click_metrics, entropy, probabilities, row_losses

BINS = 20


@dataclass(frozen=True)
class ClickDetails:
    """Labels and predictions of all rows of a split, in stored order.

    Attributes:
        labels: 0 or 1, (N,), float32.
        logits: Shape (N,), float32.
    """

    labels: np.ndarray
    logits: np.ndarray

    def row_values(self) -> dict[str, np.ndarray]:
        """Returns values of each row whose means are the metrics: (N,), float64, by metric.

        Those of `logloss` and `accuracy` are the rows' own. The others are not means of anything
        that a row has, and are linearised: a row's value is the metric plus the row's influence on
        it, so that the variance of the values divided by N is the metric's by the delta method;
        of `auc` that is the variance of DeLong et al. (1988). Undefined metrics have no values.
        """
        labels, logits = self.labels.astype(np.float64), self.logits.astype(np.float64)
        metrics = click_metrics(labels, logits)
        share, losses = labels.mean(), row_losses(labels, logits)
        values = {"logloss": losses, "accuracy": ((logits > 0) == (labels > 0.5)).astype(float)}
        if not 0 < share < 1:
            return values
        placements = auc_parts(labels, logits) - metrics["auc"]
        values["auc"] = metrics["auc"] + placements / np.where(labels > 0.5, share, 1 - share)
        of_share = (np.log1p(-share) - np.log(share)) * (labels - share)
        uninformed, ratio = entropy(share), metrics["normalised_entropy"]
        excess = losses - metrics["logloss"] - ratio * of_share
        values["normalised_entropy"] = ratio + excess / uninformed
        excess = probabilities(logits) - metrics["calibration"] * labels
        values["calibration"] = metrics["calibration"] + excess / share
        return values


def calibration_table(details: ClickDetails, bins: int = BINS) -> dict[str, np.ndarray]:
    """Returns rows, clicks and predicted probabilities by bins of the prediction, equally full.

    Equal predictions are never parted, so that there may be fewer bins than asked for.

    Returns:
        By column, each of shape (bins,): `lowest` and `highest` prediction, `rows`, `clicks`, and
        `predicted`, the sum of the probabilities.
    """
    probability = probabilities(details.logits.astype(np.float64))
    edges = np.quantile(probability, np.arange(1, bins) / bins, method="inverted_cdf")
    place = np.searchsorted(np.unique(edges), probability)
    rows = np.bincount(place)
    full = rows > 0
    lowest, highest = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
    np.minimum.at(lowest, place, probability)
    np.maximum.at(highest, place, probability)
    columns = {
        "lowest": lowest,
        "highest": highest,
        "rows": rows,
        "clicks": np.bincount(place, weights=details.labels),
        "predicted": np.bincount(place, weights=probability),
    }
    return {name: column[full] for name, column in columns.items()}
