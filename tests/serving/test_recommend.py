"""The signatures that recommend, of every model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from answers import (
    STRANGER,
    assert_lists,
    every_model,
    model_scores,
    pasts,
    ranked,
    scores_of_history,
)
from conftest import Exported, ExportOf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.registry import MODELS
from models.recommender import Recommender
from serving.signatures.request_checks import MAX_K, MAX_ROWS


def scores_by_history(name: str) -> bool:
    model = MODELS[name].model
    return (
        isinstance(model, type)
        and issubclass(model, Recommender)
        and (model.scores_by == "seen_item")
    )


by_history = pytest.mark.parametrize("name", sorted(filter(scores_by_history, MODELS)))


def recommend(exported: Exported, user: int, k: int, **given: Any) -> dict[str, np.ndarray]:
    """Asks for one row; returns its outputs without the first dimension."""
    answer = exported.signatures["recommend"](
        user=tf.constant([user], tf.int64),
        history=tf.constant([given.get("history", [])], tf.int64),
        exclude=tf.constant([given.get("exclude", [])], tf.int64),
        allow=tf.constant([given.get("allow", [])], tf.int64),
        k=tf.constant([k]),
        exclude_seen=tf.constant([given.get("exclude_seen", True)]),
    )
    return {name: value.numpy()[0] for name, value in answer.items()}


@every_model
def test_known_users_get_the_best_items_that_they_have_not_seen(
    name: str, export_of: ExportOf
) -> None:
    exported = export_of(name)
    users = list(range(2, 402, 21))
    raw = exported.run.data.raw_ids("user")[np.array(users) - 2]
    answer = exported.signatures["serving_default"](
        user=tf.constant(raw), k=tf.fill([len(raw)], 20)
    )
    assert not answer["is_popular"].numpy().any()
    expected = model_scores(exported, users)
    for row, user in enumerate(users):
        items, scores = (answer[part][row].numpy() for part in ("items", "scores"))
        assert_lists(items, scores, exported, expected[row], set(pasts(exported)[user]))


@every_model
def test_only_allowed_items_appear_that_are_neither_excluded_nor_seen(
    name: str, export_of: ExportOf
) -> None:
    exported = export_of(name)
    raw_users, raw_items = (exported.run.data.raw_ids(f) for f in ("user", "item"))

    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(draw=st.data())
    def check(draw: st.DataObject) -> None:
        items = st.lists(st.sampled_from([*raw_items.tolist(), -1, STRANGER]), max_size=150)
        user = draw.draw(st.sampled_from([*raw_users.tolist(), -1, STRANGER]))
        history, exclude, allow = (draw.draw(items) for _ in range(3))
        k = draw.draw(st.integers(1, 2 * len(raw_items)))
        lists = {"history": history, "exclude": exclude, "allow": allow}
        answer = recommend(exported, user, k, **lists)
        hidden = {*history, *exclude}
        if user in raw_users:
            seen = pasts(exported)[int(np.flatnonzero(raw_users == user)[0]) + 2]
            hidden |= {int(raw_items[i - 2]) for i in seen}
        only = set(raw_items.tolist()) if set(allow) <= {-1} else set(allow)
        allowed = set(raw_items.tolist()) & only - hidden
        shown = answer["items"].tolist()
        count = min(k, len(allowed))
        assert set(shown[:count]) <= allowed
        assert len(set(shown[:count])) == count
        assert shown[count:] == [-1] * (k - count)
        assert (np.diff(answer["scores"]) <= 0).all()
        assert np.isfinite(answer["scores"]).all()

    check()


@every_model
def test_allowed_items_keep_their_scores(name: str, export_of: ExportOf) -> None:
    exported = export_of(name)
    raw_users, raw_items = (exported.run.data.raw_ids(f) for f in ("user", "item"))
    allow = raw_items[::3].tolist()
    answer = recommend(exported, raw_users[0], 10, allow=[*allow, STRANGER, -1])
    expected = model_scores(exported, [2])[0]
    others = {n + 2 for n in range(len(raw_items)) if n % 3}
    hidden = others | set(pasts(exported)[2])
    assert_lists(answer["items"], answer["scores"], exported, expected, hidden)
    nothing = recommend(exported, raw_users[0], 3, allow=[STRANGER])
    assert nothing["items"].tolist() == [-1] * 3


@every_model
def test_seen_items_come_back_when_asked_for(name: str, export_of: ExportOf) -> None:
    exported = export_of(name)
    raw_users, raw_items = (exported.run.data.raw_ids(f) for f in ("user", "item"))
    answer = recommend(exported, raw_users[0], len(raw_items), exclude_seen=False)
    expected = model_scores(exported, [2])[0]
    assert_lists(answer["items"], answer["scores"], exported, expected, set())


@every_model
@pytest.mark.parametrize("history", [[], [-1, -1], [STRANGER]])
def test_stranger_gets_popular_items_and_a_mark(
    history: list[int], name: str, export_of: ExportOf
) -> None:
    exported = export_of(name)
    train = exported.run.data.read("rows", "train")["item"]
    assert isinstance(train, np.ndarray)
    counts = np.bincount(train, minlength=exported.run.data.schema.cardinality("item"))
    best = ranked(counts.astype(np.float32), set())[:7]
    answer = recommend(exported, STRANGER, 7, history=history)
    assert answer["is_popular"]
    assert answer["unknown_share"] == 1.0
    assert answer["items"].tolist() == exported.run.data.raw_ids("item")[best - 2].tolist()
    assert answer["scores"].tolist() == counts[best].tolist()


def test_history_of_a_stranger_is_scored_by_its_nearest_users(neumf: Exported) -> None:
    raw_items, seen = neumf.run.data.raw_ids("item"), [set(past) - {1} for past in pasts(neumf)]
    history = {3, 8, 21, 40, 77}
    cosine = np.array([len(s & history) / np.sqrt(max(len(s), 1) * len(history)) for s in seen])
    nearest = np.argsort(-cosine, kind="stable")[:10]
    expected = model_scores(neumf, nearest.tolist()).mean(axis=0)
    given = [int(raw_items[i - 2]) for i in history]
    answer = recommend(neumf, -1, 15, history=[*given, given[0], STRANGER, -1])
    assert not answer["is_popular"]
    assert answer["unknown_share"] == pytest.approx(1 / 7)
    assert_lists(answer["items"], answer["scores"], neumf, expected, history)


@by_history
@pytest.mark.parametrize("is_known", [False, True])
def test_given_history_is_scored_as_it_is(is_known: bool, name: str, export_of: ExportOf) -> None:
    exported = export_of(name)
    raw_users, raw_items = (exported.run.data.raw_ids(f) for f in ("user", "item"))
    first, second = (int(raw_items[i - 2]) for i in (40, 7))
    user = int(raw_users[5]) if is_known else STRANGER
    # Padding may stand anywhere; an item that training never saw keeps its place, as id 1.
    history = [-1, first, -1, STRANGER, second, -1, -1]
    answer = recommend(exported, user, 15, history=history)
    expected = scores_of_history(exported, [40, 1, 7])
    hidden = {40, 7, *(pasts(exported)[7] if is_known else ())}
    assert not answer["is_popular"]
    assert answer["unknown_share"] == pytest.approx((1 if is_known else 2) / 4)
    assert_lists(answer["items"], answer["scores"], exported, expected, hidden)


@by_history
def test_known_user_with_an_unknown_history_is_scored_by_its_own(
    name: str, export_of: ExportOf
) -> None:
    exported = export_of(name)
    user = int(exported.run.data.raw_ids("user")[5])
    answer = recommend(exported, user, 15, history=[STRANGER])
    expected = model_scores(exported, [7])[0]
    assert_lists(answer["items"], answer["scores"], exported, expected, set(pasts(exported)[7]))


def test_order_of_a_history_matters_to_a_sequence_model(export_of: ExportOf) -> None:
    exported = export_of("bert4rec")
    raw = [int(exported.run.data.raw_ids("item")[i - 2]) for i in (40, 7, 90)]
    there = recommend(exported, STRANGER, 300, history=raw)["scores"]
    back = recommend(exported, STRANGER, 300, history=raw[::-1])["scores"]
    assert np.abs(there - back).max() > 0.01


@by_history
def test_longer_histories_in_a_batch_change_nothing(name: str, export_of: ExportOf) -> None:
    exported = export_of(name)
    raw_users, raw_items = (exported.run.data.raw_ids(f) for f in ("user", "item"))
    users = [int(raw_users[0]), STRANGER, STRANGER, int(raw_users[-1])]
    histories = [[], raw_items[[3]].tolist(), raw_items[5:95].tolist(), []]
    width = max(map(len, histories))
    answer = exported.signatures["recommend"](
        user=tf.constant(users, tf.int64),
        history=tf.constant([h + [-1] * (width - len(h)) for h in histories], tf.int64),
        exclude=tf.zeros([4, 0], tf.int64),
        allow=tf.zeros([4, 0], tf.int64),
        k=tf.fill([4], 10),
        exclude_seen=tf.ones([4], tf.bool),
    )
    for row, (user, history) in enumerate(zip(users, histories, strict=True)):
        alone = recommend(exported, user, 10, history=history)
        np.testing.assert_allclose(answer["scores"][row], alone["scores"], rtol=1e-5, atol=1e-5)


def test_every_row_of_a_batch_has_its_own_k_and_kind(neumf: Exported) -> None:
    known = int(neumf.run.data.raw_ids("user")[5])
    users, k = [known, STRANGER, known], [2, 300, 5]
    answer = neumf.signatures["serving_default"](
        user=tf.constant(users, tf.int64), k=tf.constant(k)
    )
    assert answer["items"].shape == (3, 300)
    assert answer["is_popular"].numpy().tolist() == [False, True, False]
    for row, (user, wanted) in enumerate(zip(users, k, strict=True)):
        alone = recommend(neumf, user, wanted)
        assert answer["items"][row, :wanted].numpy().tolist() == alone["items"].tolist()
        assert (answer["items"][row, wanted:].numpy() == -1).all()


@pytest.mark.parametrize(("k", "message"), [(0, "at least 1"), (MAX_K + 1, "at most 10000")])
def test_k_out_of_range_is_refused(k: int, message: str, neumf: Exported) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"k must be {message}"):
        recommend(neumf, 1, k)


def test_more_rows_than_one_run_may_score_are_refused(neumf: Exported) -> None:
    users = tf.fill([MAX_ROWS + 1], tf.constant(1, tf.int64))
    ask = neumf.signatures["recommend_user"]
    assert ask(user=users[1:], k=tf.fill([MAX_ROWS], 2))["items"].shape == (MAX_ROWS, 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"at most {MAX_ROWS} rows, as each"):
        ask(user=users, k=tf.fill([MAX_ROWS + 1], 2))


@every_model
def test_inputs_of_unlike_length_are_refused_and_no_row_is_no_error(
    name: str, export_of: ExportOf
) -> None:
    signatures = export_of(name).signatures
    one, two = tf.constant([1], tf.int64), tf.constant([1, 2], tf.int64)
    with pytest.raises(tf.errors.InvalidArgumentError, match="user and k must have equally many"):
        signatures["serving_default"](user=one, k=tf.constant([1, 1]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="user and item must have equally"):
        signatures["score"](user=two, item=one)
    nobody = signatures["serving_default"](user=one[:0], k=tf.constant([], tf.int32))
    assert nobody["items"].shape == (0, 0)
