"""Checks an export in a clean process that imports TensorFlow and NumPy, and nothing of ours.

  python -m serving.verify EXPORT/1 SAMPLE.npz TOLERANCE

The sample holds what the trainer's model answers; see `serving.sample`. Exits with 1 and says what
differs where the export answers otherwise.

Legend: U users, n items of a list.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

CHUNK = 100  # users asked at once
SCORED = "score:"  # before the names of the inputs of `score` in a sample

Sample = Mapping[str, np.ndarray]
# Items and scores (rows, k) for some rows of the sample, and k.
Ask = Callable[[slice, int], Mapping[str, tf.Tensor]]


def differences(path: str, sample: Sample, tolerance: float = 1e-5) -> list[str]:
    """Returns what the SavedModel answers differently, in words; empty where nothing.

    Args:
        path: The version folder.
        sample: What the trainer's model answers.
        tolerance: Of scores, relative to the larger of 1 and the score.
    """
    loaded = tf.saved_model.load(path)
    found = []
    if "user" in sample:
        found += _of_users(loaded.signatures, sample, tolerance)
    if "history" in sample:
        found += _of_histories(loaded.signatures, sample, tolerance)
    if "logit" in sample:
        inputs = {k.removeprefix(SCORED): v for k, v in sample.items() if k.startswith(SCORED)}
        tensors = {name: tf.constant(values) for name, values in inputs.items()}
        logits = loaded.signatures["score"](**tensors)["logit"].numpy()
        if not _close(logits, sample["logit"], tolerance):
            found.append("score: logits differ")
    return found


def _of_users(signatures: Mapping[str, Any], sample: Sample, tolerance: float) -> list[str]:
    users, items, scores = sample["user"], sample["items"], sample["scores"]

    def ask(part: slice, k: int) -> Mapping[str, tf.Tensor]:
        asked = tf.constant(users[part])
        return signatures["recommend_user"](user=asked, k=tf.fill([len(asked)], k))

    found = _differing("recommend_user", ask, sample, tolerance)
    half = items.shape[1] // 2
    some, rest = slice(0, CHUNK), slice(half, None)
    if half and not found:
        nothing, excluded = items[some, :0], items[some, :half]
        without = _recommend(signatures, users, nothing, excluded)
        expected = {"items": items[some, rest], "scores": scores[some, rest]}
        past = np.split(sample["seen"], np.cumsum(sample["seen_lengths"]))[: len(excluded)]
        hidden = [np.concatenate(both) for both in zip(past, excluded, strict=True)]
        lengths = np.array([len(row) for row in hidden])
        expected |= {"seen": np.concatenate(hidden), "seen_lengths": lengths}
        found = _differing("recommend with items to exclude", without, expected, tolerance)
    return found


def _of_histories(signatures: Mapping[str, Any], sample: Sample, tolerance: float) -> list[str]:
    history, prefix = sample["history"], "history_"
    user_type = signatures["recommend"].structured_input_signature[1]["user"].dtype
    nobody = np.full(len(history), b"" if user_type == tf.string else -1)
    ask = _recommend(signatures, nobody, history, history[:, :0])
    mine = {k.removeprefix(prefix): v for k, v in sample.items() if k.startswith(prefix)}
    return _differing("recommend with histories", ask, mine, tolerance)


def _recommend(
    signatures: Mapping[str, Any], users: np.ndarray, history: np.ndarray, exclude: np.ndarray
) -> Ask:
    def ask(part: slice, k: int) -> Mapping[str, tf.Tensor]:
        rows = len(users[part])
        return signatures["recommend"](
            user=tf.constant(users[part]),
            history=tf.constant(history[part]),
            exclude=tf.constant(exclude[part]),
            allow=tf.constant(exclude[part, :0]),
            k=tf.fill([rows], k),
            exclude_seen=tf.ones([rows], tf.bool),
        )

    return ask


def _differing(name: str, ask: Ask, expected: Sample, tolerance: float) -> list[str]:
    """Returns how answers differ from `items` and `scores`, or that they show what was `seen`."""
    count, k = expected["scores"].shape
    seen = np.split(expected["seen"], np.cumsum(expected["seen_lengths"])[:-1])
    for start in range(0, count, CHUNK):
        part = slice(start, min(start + CHUNK, count))
        answer = ask(part, k)
        items, scores = np.array(answer["items"].numpy().tolist()), answer["scores"].numpy()
        wanted, wanted_scores = expected["items"][part], expected["scores"][part]
        if not _close(scores, wanted_scores, tolerance):
            worst = float(np.abs(scores.astype(np.float64) - wanted_scores).max())
            return [f"{name}: scores differ by up to {worst:g}"]
        filled = scores > np.finfo(np.float32).min
        for shown, real, past in zip(items, filled, seen[part], strict=True):
            again = np.intersect1d(shown[real], past)
            if len(again):
                return [f"{name}: item {again[0]!r} is shown, which was seen or excluded"]
        if not _close(_scores_of(items, wanted, wanted_scores)[filled], scores[filled], tolerance):
            return [f"{name}: items have other scores than the trainer gives them"]
    return []


def _scores_of(items: np.ndarray, wanted: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns the trainer's scores (U, n) of items (U, n).

    Of equal items the export may show others: one that is not listed can but equal the last.
    """
    same = items[:, :, None] == wanted[:, None, :]  # (U, n, n)
    place = np.where(same.any(axis=2), same.argmax(axis=2), wanted.shape[1] - 1)
    return np.take_along_axis(scores, place, axis=1)


def _close(found: np.ndarray, expected: np.ndarray, tolerance: float) -> bool:
    # Without this cast, the difference of two lowest float32 overflows.
    distance = np.abs(found.astype(np.float64) - expected)
    return bool((distance <= tolerance * np.maximum(1.0, np.abs(expected))).all())


def main() -> int:
    """Compares, and prints what differs."""
    with np.load(sys.argv[2], allow_pickle=False) as stored:
        found = differences(sys.argv[1], dict(stored), float(sys.argv[3]))
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
