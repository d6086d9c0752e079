"""The evaluator against a slow NumPy ranking of raw lists, and the rules on its card."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import tensorflow as tf

from configs.base import EvaluationConfig
from data.dataset import PreparedDataset
from data.errors import InputError
from data.schema import FIRST_ID
from tests.data.reading import raw_lists
from trainers.evaluation import Evaluator, Result

SPLITS = ("train", "validation", "test")


class Fixed:
    """Scores by a table of random numbers."""

    def __init__(self, data: PreparedDataset) -> None:
        shape = [data.schema.cardinality(name) for name in ("user", "item")]
        self.table = np.random.default_rng(1).normal(size=shape).astype(np.float32)

    def item_scores(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.gather(self.table, batch["user"])

    def scores(self, batch: dict[str, tf.Tensor], items: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.item_scores(batch), items, batch_dims=1)


def evaluate(
    scorer: Fixed, data: PreparedDataset, split: str, batch_size: int, protocols: Sequence[str]
) -> Result:
    config = EvaluationConfig(ks=(5, 10), batch_size=batch_size)
    return Evaluator(scorer, data, split, config, protocols).evaluate()


def numpy_ranks(scorer: Fixed, data: PreparedDataset, split: str, protocol: str) -> np.ndarray:
    """Ranks of each user's single target, from the raw lists of the dataset."""
    touched = {name: raw_lists(data, name, "item") for name in SPLITS}
    negatives = raw_lists(data, split, "negative_item")
    user_ids, item_ids = ({r: i + FIRST_ID for i, r in enumerate(data.raw_ids(n))} for n in KEYS)
    ranks = []
    for user, (target,) in touched[split].items():
        scores = scorer.table[user_ids[user]]
        if protocol == "sampled":
            others = set(negatives[user])
        else:
            earlier = SPLITS[: SPLITS.index(split)]
            seen = {item for name in earlier for item in touched[name].get(user, [])}
            others = set(item_ids) - seen - {target}
        ranks.append(1 + sum(scores[item_ids[i]] >= scores[item_ids[target]] for i in others))
    return np.array(ranks)


KEYS = ("user", "item")


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("protocol", ["sampled", "full"])
def test_metrics_equal_numpys_on_raw_lists(
    split: str, protocol: str, checkerboard_data: PreparedDataset
) -> None:
    scorer = Fixed(checkerboard_data)
    result = evaluate(scorer, checkerboard_data, split, 16, (protocol,))
    ranks = numpy_ranks(scorer, checkerboard_data, split, protocol)
    assert len(ranks) == 40
    assert 3 < np.median(ranks) < 30
    name = "full" if protocol == "full" else "sampled15"
    for k in (5, 10):
        hits = ranks <= k
        assert result.metrics[f"hr@{k}/{name}"] == pytest.approx(hits.mean())
        gains = hits / np.log2(ranks + 1)
        assert result.metrics[f"ndcg@{k}/{name}"] == pytest.approx(gains.mean())
        assert result.metrics[f"mrr@{k}/{name}"] == pytest.approx((hits / ranks).mean())


def test_the_batch_size_changes_nothing(synthetic_data: PreparedDataset) -> None:
    scorer = Fixed(synthetic_data)
    small, large = (
        evaluate(scorer, synthetic_data, "test", size, ("sampled", "full")) for size in (37, 512)
    )
    assert small.cards == large.cards
    assert small.metrics == pytest.approx(large.metrics, abs=1e-12)


def test_cards_say_what_was_ranked_against_what(synthetic_data: PreparedDataset) -> None:
    cards = evaluate(Fixed(synthetic_data), synthetic_data, "test", 64, ("sampled", "full")).cards
    frozen = synthetic_data.schema.candidates["test"]
    assert cards["sampled99"]["candidates_sha256"] == frozen.sha256
    assert cards["sampled99"]["excluded"] == "items that the user has touched in any split"
    assert cards["full"]["excluded"] == "the user's items of earlier splits and its other targets"
    items = synthetic_data.schema.cardinality("item") - FIRST_ID
    assert cards["full"]["candidates"] == f"all {items} items"
    for card in cards.values():
        assert card["split"] == "test"
        assert card["users"] == synthetic_data.split("histories", "test").rows
        assert card["ties"] == "targets rank last among equal scores"


def test_a_split_without_candidates_says_so(synthetic_data: PreparedDataset) -> None:
    with pytest.raises(InputError, match="needs frozen candidates"):
        evaluate(Fixed(synthetic_data), synthetic_data, "train", 64, ("sampled",))
