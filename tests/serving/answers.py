"""What an export must answer, from the trainer's model and a few lines of NumPy."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from conftest import Exported

from configs.registry import MODELS
from data.blocks import Ragged
from serving.signatures.recommend import NO_SCORE

STRANGER = 10**9  # neither a user nor an item of any data here
every_model = pytest.mark.parametrize("name", sorted(MODELS))


@cache
def pasts(exported: Exported) -> list[list[int]]:
    """Returns the items of every split in time order by user id, read row by row."""
    data = exported.run.data
    found: list[list[int]] = [[] for _ in range(data.schema.cardinality("user"))]
    for split in ("train", "validation", "test"):
        rows = data.read("histories", split)
        items = rows["item"]
        assert isinstance(items, Ragged)
        ends = np.cumsum(items.lengths)
        for user, end, length in zip(rows["user"], ends, items.lengths, strict=True):
            if user >= 2:
                found[user] += items.values[end - length : end].tolist()
    return found


def model_scores(exported: Exported, users: list[int]) -> np.ndarray:
    """Returns what the trainer's model gives users by id, or by all that they have taken."""
    past = tf.ragged.constant([pasts(exported)[user] for user in users], dtype=tf.int32)
    batch = {"user": tf.constant(users, tf.int32), "seen_item": past.to_tensor()}
    return exported.run.model.item_scores(batch).numpy()


def scores_of_history(exported: Exported, history: list[int]) -> np.ndarray:
    return exported.run.model.item_scores({"seen_item": tf.constant([history])}).numpy()[0]


def ranked(scores: np.ndarray, hidden: set[int]) -> np.ndarray:
    """Returns item ids, best first, without padding, unknown and hidden ones."""
    return np.array([i for i in np.argsort(-scores, kind="stable") if i >= 2 and i not in hidden])


def assert_lists(
    items: np.ndarray,
    scores: np.ndarray,
    exported: Exported,
    expected: np.ndarray,
    hidden: set[int],
) -> None:
    """Asserts that a list is the best of the expected scores, of which some may be equal."""
    best = ranked(expected, hidden)[: len(items)]
    texts = [i.decode() if isinstance(i, bytes) else i for i in items[: len(best)].tolist()]
    places = {raw: n + 2 for n, raw in enumerate(exported.run.data.raw_ids("item").tolist())}
    shown = [places[text] for text in texts]
    assert len(set(shown)) == len(best)
    assert not set(shown) & hidden
    np.testing.assert_allclose(scores[: len(best)], expected[best], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(expected[shown], expected[best], rtol=1e-5, atol=1e-5)
    assert (scores[len(best) :] == np.float32(NO_SCORE)).all()
    assert set(items[len(best) :]) <= {b"", -1}
