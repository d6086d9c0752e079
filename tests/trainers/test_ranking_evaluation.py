"""The evaluator against a slow NumPy ranking of raw lists, and the rules on its card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from configs.base import EvaluationConfig
from configs.registry import build_model, recipe
from data.assemble import PrepareOptions, prepare
from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.errors import InputError
from data.schema import FIRST_ID
from data.sources import synthetic
from data.splits import SplitOptions
from models.communicator import Communicator
from models.recommender import Recommender
from tests.data.reading import raw_lists
from tests.trainers.threaded_ranks import on_ranks
from trainers.ranking_evaluation import RankingEvaluator
from trainers.result import Result
from trainers.user_ranks import RankingDetails

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
    return RankingEvaluator(scorer, data, split, config, protocols).evaluate()


def numpy_ranks(scorer: Fixed, data: PreparedDataset, split: str, protocol: str) -> np.ndarray:
    """Ranks of each user's single target, from the raw lists of the dataset."""
    touched = {name: raw_lists(data, name, "item") for name in SPLITS}
    column = "popular_item" if protocol == "popular" else "negative_item"
    negatives = raw_lists(data, split, column)
    user_ids, item_ids = ({r: i + FIRST_ID for i, r in enumerate(data.raw_ids(n))} for n in KEYS)
    ranks = []
    for user, (target,) in touched[split].items():
        scores = scorer.table[user_ids[user]]
        if protocol != "full":
            others = set(negatives[user])
        else:
            earlier = SPLITS[: SPLITS.index(split)]
            seen = {item for name in earlier for item in touched[name].get(user, [])}
            others = set(item_ids) - seen - {target}
        ranks.append(1 + sum(scores[item_ids[i]] >= scores[item_ids[target]] for i in others))
    return np.array(ranks)


KEYS = ("user", "item")


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("protocol", ["sampled", "popular", "full"])
def test_metrics_equal_numpys_on_raw_lists(
    split: str, protocol: str, checkerboard_data: PreparedDataset
) -> None:
    scorer = Fixed(checkerboard_data)
    result = evaluate(scorer, checkerboard_data, split, 16, (protocol,))
    ranks = numpy_ranks(scorer, checkerboard_data, split, protocol)
    assert len(ranks) == 40
    assert 2 < np.median(ranks) < 30
    name = {"full": "full", "sampled": "sampled15", "popular": "popular7"}[protocol]
    for k in (5, 10):
        hits = ranks <= k
        assert result.metrics[f"hr@{k}/{name}"] == pytest.approx(hits.mean())
        gains = hits / np.log2(ranks + 1)
        assert result.metrics[f"ndcg@{k}/{name}"] == pytest.approx(gains.mean())
        assert result.metrics[f"mrr@{k}/{name}"] == pytest.approx((hits / ranks).mean())


class ByHistory(Fixed):
    """Scores by the number of items seen, and by the table's first rows."""

    scores_by = "seen_item"

    def item_scores(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        seen = tf.reduce_sum(tf.cast(batch["seen_item"] >= FIRST_ID, tf.int32), axis=1)
        return tf.gather(self.table, seen)


def test_held_out_users_are_ranked_after_their_fold_in(tmp_path: Path) -> None:
    world = synthetic.SyntheticOptions(users=300, items=120, ratings=9_000, tastes=4, seed=3)
    split = SplitOptions(method="held_out_users", validation_users=40, test_users=60)
    prepare(synthetic.load(world), PrepareOptions(split=split), tmp_path / "data")
    data = PreparedDataset(tmp_path / "data")
    scorer = ByHistory(data)
    result = evaluate(scorer, data, "test", 16, ("full",))
    histories = data.read("histories", "test")
    targets, seen = histories["item"], histories["seen_item"]
    assert isinstance(targets, Ragged)
    assert isinstance(seen, Ragged)
    recalls = []
    for user in range(60):
        mine, past = (
            part.values[part.offsets()[user] : part.offsets()[user + 1]] for part in (targets, seen)
        )
        if not len(mine):
            continue
        scores = scorer.table[(past >= FIRST_ID).sum()].copy()
        scores[:FIRST_ID] = scores[past] = -np.inf
        best = np.argsort(-scores)[:5]
        recalls.append(np.isin(best, mine).sum() / min(5, len(mine)))
    assert result.metrics["recall@5/foldin"] == pytest.approx(np.mean(recalls))
    assert 0 < np.mean(recalls) < 1
    assert result.cards["foldin"]["recall"] == "hits by targets or k, whichever is smaller"
    with pytest.raises(InputError, match="only be scored by their items"):
        RankingEvaluator(model_by_user(data), data, "test", EvaluationConfig(), ("full",))


def model_by_user(data: PreparedDataset) -> Recommender:
    return build_model(recipe("ncf", "tiny"), data)


def test_the_batch_size_changes_nothing(synthetic_data: PreparedDataset) -> None:
    scorer = Fixed(synthetic_data)
    small, large = (
        evaluate(scorer, synthetic_data, "test", size, ("sampled", "full")) for size in (37, 512)
    )
    assert small.cards == large.cards
    assert small.metrics == pytest.approx(large.metrics, abs=1e-12)


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_find_what_one_finds_to_the_last_digit(
    synthetic_data: PreparedDataset, ranks: int
) -> None:
    scorer, config = Fixed(synthetic_data), EvaluationConfig(ks=(5, 10), batch_size=64)

    def work(communicator: Communicator) -> Result:
        protocols = ("sampled", "full")
        return RankingEvaluator(
            scorer, synthetic_data, "test", config, protocols, communicator, True
        ).evaluate()

    alone = work(Communicator())
    expected = alone.details
    assert isinstance(expected, RankingDetails)
    for result in on_ranks(ranks, work):
        assert (result.metrics, result.cards) == (alone.metrics, alone.cards)
        found = result.details
        assert isinstance(found, RankingDetails)
        for name in ("users", "history", "targets"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        for name, of in expected.protocols.items():
            np.testing.assert_array_equal(found.protocols[name].ranks.values, of.ranks.values)
            np.testing.assert_array_equal(found.protocols[name].items, of.items)
        np.testing.assert_array_equal(found.recommended["full"], expected.recommended["full"])


def test_details_are_what_a_slow_ranking_finds(synthetic_data: PreparedDataset) -> None:
    scorer, ks = Fixed(synthetic_data), (3, 10, 5)
    config = EvaluationConfig(ks=ks, batch_size=50)
    result = RankingEvaluator(
        scorer, synthetic_data, "test", config, ("full",), detailed=True
    ).evaluate()
    details = result.details
    assert isinstance(details, RankingDetails)
    histories = synthetic_data.read("histories", "test")
    targets, seen = histories["item"], histories["seen_item"]
    assert isinstance(targets, Ragged)
    assert isinstance(seen, Ragged)
    np.testing.assert_array_equal(details.users, histories["user"])
    np.testing.assert_array_equal(details.history, seen.lengths)
    np.testing.assert_array_equal(details.targets, targets.lengths)
    cardinality = synthetic_data.schema.cardinality("item")
    shown, hits = (np.zeros((len(ks), cardinality), int) for _ in range(2))
    for row, user in enumerate(details.users):
        mine, past = (
            part.values[part.offsets()[row] : part.offsets()[row + 1]] for part in (targets, seen)
        )
        scores = scorer.table[user].copy()
        scores[:FIRST_ID] = scores[past] = -np.inf
        best = np.argsort(-scores)
        for place, k in enumerate(ks):
            shown[place, best[:k]] += 1
            hits[place, np.intersect1d(best[:k], mine)] += 1
    np.testing.assert_array_equal(details.recommended["full"], shown)
    for place, k in enumerate(ks):
        found = details.protocols["full"].hits_by_item(k, cardinality)
        np.testing.assert_array_equal(found, hits[place])
        assert found.sum() == pytest.approx(result.metrics[f"hr@{k}/full"] * len(details.users))


def test_padding_is_never_recommended(checkerboard_data: PreparedDataset) -> None:
    scorer = Fixed(checkerboard_data)
    config = EvaluationConfig(ks=(100,), batch_size=16)  # more than there are items
    details = (
        RankingEvaluator(scorer, checkerboard_data, "test", config, ("full",), detailed=True)
        .evaluate()
        .details
    )
    assert isinstance(details, RankingDetails)
    (shown,) = details.recommended["full"]
    assert not shown[:FIRST_ID].any()
    items = checkerboard_data.schema.cardinality("item") - FIRST_ID
    assert shown.sum() == sum(items - details.history)


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
