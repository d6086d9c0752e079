"""Click metrics against scikit-learn and NumPy, and where they are undefined."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from sklearn import metrics as reference

from trainers.click_metrics import NAMES, auc, click_metrics, entropy, logloss


@cache
def predictions() -> tuple[np.ndarray, np.ndarray]:
    """Returns labels and logits of a million rows, rounded so that most of them tie."""
    rng = np.random.default_rng(7)
    truth = rng.normal(-1.0, 1.5, 1_000_000)
    labels = (rng.random(len(truth)) < 1 / (1 + np.exp(-truth))).astype(np.float32)
    logits = np.round(truth + rng.normal(0, 1, len(truth)), 2).astype(np.float32)
    assert len(np.unique(logits)) < 2_500
    return labels, logits


def probabilities(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def test_auc_is_scikit_learn_s_on_a_million_rows_with_ties() -> None:
    labels, logits = predictions()
    assert auc(labels, logits) == pytest.approx(reference.roc_auc_score(labels, logits), abs=1e-5)


def test_the_other_metrics_are_scikit_learn_s_and_numpy_s() -> None:
    labels, logits = predictions()
    found, probability = click_metrics(labels, logits), probabilities(logits)
    expected = reference.log_loss(labels, probability)
    share = labels.mean(dtype=np.float64)
    assert list(found) == list(NAMES)
    assert found["auc"] == auc(labels, logits)
    assert found["logloss"] == pytest.approx(expected, rel=1e-9)
    assert found["accuracy"] == reference.accuracy_score(labels, logits > 0)
    assert found["calibration"] == pytest.approx(probability.sum() / labels.sum(), rel=1e-9)
    uninformed = reference.log_loss(labels, np.full(len(labels), share))
    assert found["normalised_entropy"] == pytest.approx(expected / uninformed, rel=1e-9)


def test_auc_counts_every_pair_once_and_a_tie_half() -> None:
    labels, scores = np.array([1, 0, 1, 0, 0]), np.array([3.0, 1.0, 1.0, 2.0, 1.0])
    wins = [3.0 > 1.0, 3.0 > 2.0, 3.0 > 1.0, 0.5, 1.0 > 2.0, 0.5]
    assert auc(labels, scores) == sum(wins) / 6


def test_auc_depends_on_the_order_alone() -> None:
    labels, logits = (column[:10_000] for column in predictions())
    assert auc(labels, probabilities(logits)) == auc(labels, logits)
    assert auc(labels, -logits) == pytest.approx(1 - auc(labels, logits))


@pytest.mark.parametrize("value", [0.0, -3.0, 40.0])
def test_a_constant_scorer_has_an_auc_of_one_half(value: float) -> None:
    labels = predictions()[0][:1000]
    assert auc(labels, np.full(1000, value, np.float32)) == 0.5


def test_a_perfect_scorer_has_an_auc_of_one() -> None:
    labels = np.array([0, 1, 1, 0])
    assert auc(labels, labels * 2.0) == 1.0
    assert auc(labels, labels * -2.0) == 0.0


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_of_rows_with_one_label_auc_and_entropy_are_undefined(label: float) -> None:
    found = click_metrics(np.full(5, label), np.linspace(-1.0, 1.0, 5))
    assert math.isnan(found["auc"])
    assert math.isnan(found["normalised_entropy"])
    assert math.isnan(found["calibration"]) == (label == 0.0)
    assert math.isfinite(found["logloss"])


def test_always_predicting_the_share_has_a_normalised_entropy_and_calibration_of_one() -> None:
    labels = np.array([1.0] * 3 + [0.0] * 7)
    found = click_metrics(labels, np.full(10, np.log(0.3 / 0.7)))
    assert found["normalised_entropy"] == pytest.approx(1.0)
    assert found["calibration"] == pytest.approx(1.0)
    assert found["logloss"] == pytest.approx(entropy(0.3))


def test_logits_far_out_keep_the_loss_finite() -> None:
    logits = np.array([1000.0, -1000.0, 1000.0], np.float32)
    assert logloss(np.array([1.0, 0.0, 0.0]), logits) == pytest.approx(1000.0 / 3)
    with np.errstate(over="raise"):
        assert click_metrics(np.array([1.0, 0.0, 0.0]), logits)["calibration"] == 2.0
