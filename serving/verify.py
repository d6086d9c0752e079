"""Checks an export in a clean process that imports TensorFlow and NumPy, and nothing of ours.

  python -m serving.verify EXPORT/1 SAMPLE.npz

The sample holds what the trainer's model answers; see `serving.export`. Exits with 1 and says what
differs where the export answers otherwise.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

CHUNK = 100  # users asked at once
TOLERANCE = 1e-5  # of scores, relative to the larger of 1 and the score


def differences(path: str, sample: Mapping[str, np.ndarray]) -> list[str]:
    """Returns what the SavedModel answers differently, in words; empty where nothing."""
    signatures = tf.saved_model.load(path).signatures
    users, expected = sample["users"], sample["scores"]
    items, scores, again_scored = _recommended(signatures, users, expected.shape[1])
    found = []
    if not _close(scores, expected):
        worst = float(np.abs(scores.astype(np.float64) - expected).max())
        found.append(f"recommend_user: scores differ by up to {worst:g}")
    filled = scores > np.finfo(np.float32).min
    if not _close(again_scored[filled], scores[filled]):
        found.append("recommend_user: items have other scores than `score` gives them")
    pair = signatures["score"](user=tf.constant(users), item=tf.constant(sample["score_items"]))
    if not _close(pair["logit"].numpy(), sample["logits"]):
        found.append("score: logits differ")
    seen = np.split(sample["seen"], np.cumsum(sample["seen_lengths"])[:-1])
    for user, shown, past in zip(users, items, seen, strict=True):
        again = np.intersect1d(shown, past)
        if len(again):
            found.append(f"recommend_user: user {user!r} is shown item {again[0]!r} again")
            break
    return found


def _recommended(
    signatures: Mapping[str, Any], users: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns items and scores (users, k), and the same items' scores by the signature `score`."""
    items, scores, again_scored = [], [], []
    for start in range(0, len(users), CHUNK):
        part = tf.constant(users[start : start + CHUNK])
        answer = signatures["recommend_user"](user=part, k=tf.fill([len(part)], k))
        pairs = {"user": tf.repeat(part, k), "item": tf.reshape(answer["items"], [-1])}
        logits = signatures["score"](**pairs)["logit"]
        items.append(answer["items"].numpy())
        scores.append(answer["scores"].numpy())
        again_scored.append(logits.numpy().reshape(-1, k))
    return np.concatenate(items), np.concatenate(scores), np.concatenate(again_scored)


def _close(found: np.ndarray, expected: np.ndarray) -> bool:
    # Without this cast, the difference of two lowest float32 overflows.
    distance = np.abs(found.astype(np.float64) - expected)
    return bool((distance <= TOLERANCE * np.maximum(1.0, np.abs(expected))).all())


def main() -> int:
    """Compares, and prints what differs."""
    with np.load(sys.argv[2], allow_pickle=False) as sample:
        found = differences(sys.argv[1], sample)
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
