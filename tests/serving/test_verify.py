"""What the clean-process check finds in an export that answers otherwise than the trainer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from conftest import Exported, run_module

from data.assemble import PrepareOptions, prepare
from data.dataset import PreparedDataset
from data.errors import InputError
from data.interactions import Interactions
from serving.recommend import RawIds
from serving.verify import differences

Sample = dict[str, np.ndarray]
K = 5


@pytest.fixture
def sample(neumf: Exported) -> Sample:
    """What the model answers for three users who are said to have seen nothing new."""
    data, model = neumf.run.data, neumf.run.model
    seen = data.positives(list(data.schema.view("histories").splits))
    scores = model.item_scores({"user": tf.constant([2, 3, 4])}).numpy()
    logits = scores[:, 2].copy()
    scores[:, :2] = -np.inf
    for row in range(3):
        scores[row, seen.items[seen.starts[row + 2] : seen.starts[row + 3]]] = -np.inf
    return {
        "users": data.raw_ids("user")[:3],
        "scores": -np.sort(-scores, axis=1)[:, :K],
        "score_items": np.repeat(data.raw_ids("item")[:1], 3),
        "logits": logits,
        "seen": np.array([], np.int64),
        "seen_lengths": np.zeros(3, np.int64),
    }


def _other_scores(sample: Sample, best: int) -> None:
    sample["scores"][1, 3] -= 1e-3


def _other_logits(sample: Sample, best: int) -> None:
    sample["logits"][2] += 1e-3


def _seen_item(sample: Sample, best: int) -> None:
    sample["seen"], sample["seen_lengths"] = np.array([best]), np.array([1, 0, 0])


def test_same_answers_are_no_difference(neumf: Exported, sample: Sample) -> None:
    assert differences(str(neumf.path), sample) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_other_scores, "recommend_user: scores differ by up to 0.00"),
        (_other_logits, "score: logits differ"),
        (_seen_item, "is shown item"),
    ],
)
def test_difference_is_named(
    change: Callable[[Sample, int], None], message: str, neumf: Exported, sample: Sample
) -> None:
    loaded = tf.saved_model.load(str(neumf.path))
    answer = loaded.signatures["recommend_user"](
        user=tf.constant(sample["users"]), k=tf.fill([3], K)
    )
    change(sample, int(answer["items"][0, 0]))
    found = differences(str(neumf.path), sample)
    assert len(found) == 1
    assert message in found[0]


class _Swapped(tf.Module):
    """Returns right scores with the wrong items."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loaded = tf.saved_model.load(str(path))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int64, name="user"),
            tf.TensorSpec([None], tf.int32, name="k"),
        ]
    )
    def recommend_user(self, user: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
        answer = self.loaded.signatures["recommend_user"](user=user, k=k)
        return {**answer, "items": tf.reverse(answer["items"], axis=[1])}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int64, name="user"),
            tf.TensorSpec([None], tf.int64, name="item"),
        ]
    )
    def score(self, user: tf.Tensor, item: tf.Tensor) -> dict[str, tf.Tensor]:
        return self.loaded.signatures["score"](user=user, item=item)


def test_command_ends_with_1_where_items_are_not_those_of_the_scores(
    neumf: Exported, sample: Sample, tmp_path: Path
) -> None:
    swapped = _Swapped(neumf.path)
    signatures = {"recommend_user": swapped.recommend_user, "score": swapped.score}
    tf.saved_model.save(swapped, str(tmp_path / "1"), signatures=signatures)
    np.savez(tmp_path / "sample.npz", **sample)  # type: ignore[arg-type]
    done = run_module("serving.verify", str(tmp_path / "1"), str(tmp_path / "sample.npz"))
    assert done.returncode == 1
    assert "items have other scores than `score` gives them" in done.stderr


def test_raw_id_that_pads_requests_is_refused(tmp_path: Path) -> None:
    pairs = [(user, item) for user in range(6) for item in range(5)]
    events = pl.DataFrame(pairs, schema=["user", "item"], orient="row")
    events = events.with_columns(time=pl.int_range(pl.len()))
    prepare(Interactions("padding", events), PrepareOptions(negatives=1), tmp_path / "data")
    data = PreparedDataset(tmp_path / "data")
    RawIds(data, "item")
    vocabulary = tmp_path / "data" / "vocab" / "user.txt"  # as another writer could leave it
    vocabulary.write_text(vocabulary.read_text().replace("5\n", "-1\n"))
    with pytest.raises(InputError, match="No raw id of 'user' may be the one that pads requests"):
        RawIds(data, "user")
