"""Ranking metrics against a few lines of NumPy, and against lists worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from trainers.ranking_metrics import NAMES, ranking_metrics, target_ranks, tied_targets

MINUS = -np.inf


def numpy_metrics(
    targets: np.ndarray, others: np.ndarray, relevant: int, k: int
) -> dict[str, float]:
    """Ranks one user's items the slow way: ties put targets last."""
    items = [(-score, 1) for score in targets if np.isfinite(score)]
    items += [(-score, 0) for score in others if np.isfinite(score)]
    listed = [is_target for _, is_target in sorted(items)][:k]
    hits = sum(listed)
    ideal = sum(1 / np.log2(p + 2) for p in range(min(relevant, k)))
    precisions = [sum(listed[: p + 1]) / (p + 1) for p, hit in enumerate(listed) if hit]
    first = listed.index(1) + 1 if hits else np.inf
    return {
        "hr": float(hits > 0),
        "ndcg": sum(hit / np.log2(p + 2) for p, hit in enumerate(listed)) / ideal,
        "recall": hits / relevant,
        "precision": hits / k,
        "map": sum(precisions) / min(relevant, k),
        "mrr": 1 / first,
    }


@pytest.mark.parametrize("seed", range(5))
def test_parity_with_numpy_on_scores_with_many_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 6, (20, 4)).astype(np.float32)
    others = rng.integers(0, 6, (20, 12)).astype(np.float32)
    targets[rng.random(targets.shape) < 0.3] = MINUS
    targets[:, 0] = 3
    relevant = np.isfinite(targets).sum(1)
    ks = (1, 3, 10)
    found = ranking_metrics(target_ranks(targets, others), relevant.astype(np.float32), ks).numpy()
    for user in range(20):
        for index, k in enumerate(ks):
            expected = numpy_metrics(targets[user], others[user], relevant[user], k)
            np.testing.assert_allclose(found[user, index], [expected[n] for n in NAMES], atol=1e-9)


def test_a_list_worked_out_by_hand() -> None:
    # Two targets of three known ones at ranks 1 and 3; the third has no score.
    ranks = target_ranks(tf.constant([[0.9, 0.5, MINUS]]), tf.constant([[0.7, 0.1]]))
    np.testing.assert_array_equal(ranks, [[1, 3, np.inf]])
    values = ranking_metrics(ranks, tf.constant([3.0]), (3,)).numpy()[0, 0]
    found = dict(zip(NAMES, values, strict=True))
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["ndcg"] == pytest.approx((1 + 0.5) / (1 + 1 / np.log2(3) + 0.5))
    assert found["map"] == pytest.approx((1 + 2 / 3) / 3)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_constant_or_nan_scorer_scores_nothing(value: float) -> None:
    targets, others = np.full((3, 1), value, np.float32), np.full((3, 50), value, np.float32)
    ranks = target_ranks(targets, others)
    assert not ranking_metrics(ranks, np.ones(3, np.float32), (1, 10, 50)).numpy().any()


def test_ties_are_reported() -> None:
    tied = tied_targets(tf.constant([[1.0, 2.0], [5.0, MINUS]]), tf.constant([[2.0], [4.0]]))
    np.testing.assert_array_equal(tied, [1, 0])
