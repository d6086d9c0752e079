"""The exported graph against a few lines of NumPy, and what a failed export leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import Exported, run_module
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from configs.runs import load_run, schema_sha256
from data.blocks import Ragged
from data.errors import InputError
from models.recommender import Recommender
from serving.export import export
from serving.recommend import NO_SCORE
from serving.request_checks import MAX_K

STRANGER = 10**9
FRESH = """
import sys
import numpy as np
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
users = np.load(sys.argv[2])
answer = loaded.signatures["serving_default"](
    user=tf.constant(users), k=tf.fill([len(users)], 20)
)
assert not {"models", "data", "serving", "configs"} & set(sys.modules)
np.savez(sys.argv[3], **{name: value.numpy() for name, value in answer.items()})
"""


@pytest.fixture(scope="module")
def signatures(neumf: Exported) -> Any:
    loaded = tf.saved_model.load(str(neumf.path))
    # Its variables live only as long as the loaded object.
    return {"loaded": loaded, **loaded.signatures}


def recommend(signatures: Any, user: int, k: int, **given: Any) -> dict[str, np.ndarray]:
    """Asks for one row; returns its outputs without the first dimension."""
    answer = signatures["recommend"](
        user=tf.constant([user], tf.int64),
        history=tf.constant([given.get("history", [])], tf.int64),
        exclude=tf.constant([given.get("exclude", [])], tf.int64),
        k=tf.constant([k]),
        exclude_seen=tf.constant([given.get("exclude_seen", True)]),
    )
    return {name: value.numpy()[0] for name, value in answer.items()}


@cache
def seen_items(exported: Exported) -> list[set[int]]:
    """Returns the item ids of every split by user id, read row by row."""
    data = exported.run.data
    seen: list[set[int]] = [set() for _ in range(data.schema.cardinality("user"))]
    for split in data.schema.view("histories").splits:
        rows = data.read("histories", split)
        items = rows["item"]
        assert isinstance(items, Ragged)
        ends = np.cumsum(items.lengths)
        for user, end, length in zip(rows["user"], ends, items.lengths, strict=True):
            if user >= 2:
                seen[user] |= {int(i) for i in items.values[end - length : end] if i >= 2}
    return seen


def ranked(scores: np.ndarray, hidden: set[int]) -> np.ndarray:
    """Returns item ids, best first, without padding, unknown and hidden ones."""
    return np.array([i for i in np.argsort(-scores, kind="stable") if i >= 2 and i not in hidden])


def model_scores(exported: Exported, ids: np.ndarray | list[int]) -> np.ndarray:
    return exported.run.model.item_scores({"user": tf.constant(ids, tf.int32)}).numpy()


@pytest.mark.parametrize("name", ["neumf", "mf_text"])
def test_fresh_process_gives_the_trainers_scores(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    exported: Exported = request.getfixturevalue(name)
    raw_users, raw_items = (exported.run.data.raw_ids(f) for f in ("user", "item"))
    users = np.char.encode(raw_users) if raw_users.dtype.kind == "U" else raw_users
    np.save(tmp_path / "users.npy", users)
    paths = [str(exported.path), str(tmp_path / "users.npy"), str(tmp_path / "answer.npz")]
    subprocess.run([sys.executable, "-c", FRESH, *paths], check=True, cwd=tmp_path)
    with np.load(tmp_path / "answer.npz", allow_pickle=True) as answer:
        items, scores = answer["items"], answer["scores"]
        assert not answer["is_popular"].any()
    expected, seen = model_scores(exported, np.arange(2, len(users) + 2)), seen_items(exported)
    for row in range(len(users)):
        best = ranked(expected[row], seen[row + 2])[:20]
        texts = [i.decode() if isinstance(i, bytes) else i for i in items[row, : len(best)]]
        assert texts == raw_items[best - 2].tolist()
        np.testing.assert_allclose(scores[row, : len(best)], expected[row, best], atol=1e-5)
        assert (scores[row, len(best) :] == np.float32(NO_SCORE)).all()
        assert set(items[row, len(best) :]) <= {b"", -1}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(draw=st.data())
def test_excluded_and_seen_items_never_appear(
    draw: st.DataObject, signatures: Any, neumf: Exported
) -> None:
    raw_users, raw_items = (neumf.run.data.raw_ids(f) for f in ("user", "item"))
    items = st.lists(st.sampled_from([*raw_items.tolist(), -1, STRANGER]), max_size=150)
    user = draw.draw(st.sampled_from([*raw_users.tolist(), -1, STRANGER]))
    history, exclude = draw.draw(items), draw.draw(items)
    k = draw.draw(st.integers(1, 2 * len(raw_items)))
    answer = recommend(signatures, user, k, history=history, exclude=exclude)
    hidden = {*history, *exclude}
    if user in raw_users:
        seen = seen_items(neumf)[int(np.flatnonzero(raw_users == user)[0]) + 2]
        hidden |= {int(raw_items[i - 2]) for i in seen}
    allowed = set(raw_items.tolist()) - hidden
    shown = answer["items"].tolist()
    count = min(k, len(allowed))
    assert set(shown[:count]) <= allowed
    assert len(set(shown[:count])) == count
    assert shown[count:] == [-1] * (k - count)
    assert (np.diff(answer["scores"]) <= 0).all()
    assert np.isfinite(answer["scores"]).all()


def test_seen_items_come_back_when_asked_for(signatures: Any, neumf: Exported) -> None:
    raw_users, raw_items = (neumf.run.data.raw_ids(f) for f in ("user", "item"))
    answer = recommend(signatures, raw_users[0], len(raw_items), exclude_seen=False)
    best = ranked(model_scores(neumf, [2])[0], set())
    assert answer["items"].tolist() == raw_items[best - 2].tolist()


@pytest.mark.parametrize("history", [[], [-1, -1], [STRANGER]])
def test_stranger_gets_popular_items_and_a_mark(
    history: list[int], signatures: Any, neumf: Exported
) -> None:
    train = neumf.run.data.read("rows", "train")["item"]
    assert isinstance(train, np.ndarray)
    counts = np.bincount(train, minlength=neumf.run.data.schema.cardinality("item"))
    best = ranked(counts.astype(np.float32), set())[:7]
    answer = recommend(signatures, STRANGER, 7, history=history)
    assert answer["is_popular"]
    assert answer["unknown_share"] == 1.0
    assert answer["items"].tolist() == neumf.run.data.raw_ids("item")[best - 2].tolist()
    assert answer["scores"].tolist() == counts[best].tolist()


def test_history_of_a_stranger_is_scored_by_its_nearest_users(
    signatures: Any, neumf: Exported
) -> None:
    raw_items, seen = neumf.run.data.raw_ids("item"), seen_items(neumf)
    history = {3, 8, 21, 40, 77}
    cosine = np.array([len(s & history) / np.sqrt(max(len(s), 1) * len(history)) for s in seen])
    nearest = np.argsort(-cosine, kind="stable")[:10]
    expected = model_scores(neumf, nearest).mean(axis=0)
    best = ranked(expected, history)[:15]
    given = [int(raw_items[i - 2]) for i in history]
    answer = recommend(signatures, -1, 15, history=[*given, given[0], STRANGER, -1])
    assert not answer["is_popular"]
    assert answer["unknown_share"] == pytest.approx(1 / 7)
    np.testing.assert_allclose(answer["scores"], expected[best], atol=1e-5)
    assert answer["items"].tolist() == raw_items[best - 2].tolist()


def test_every_row_of_a_batch_has_its_own_k_and_kind(signatures: Any, neumf: Exported) -> None:
    known = int(neumf.run.data.raw_ids("user")[5])
    users, k = [known, STRANGER, known], [2, 300, 5]
    answer = signatures["serving_default"](user=tf.constant(users, tf.int64), k=tf.constant(k))
    assert answer["items"].shape == (3, 300)
    assert answer["is_popular"].numpy().tolist() == [False, True, False]
    for row, (user, wanted) in enumerate(zip(users, k, strict=True)):
        alone = recommend(signatures, user, wanted)
        assert answer["items"][row, :wanted].numpy().tolist() == alone["items"].tolist()
        assert (answer["items"][row, wanted:].numpy() == -1).all()


@pytest.mark.parametrize(("k", "message"), [(0, "at least 1"), (MAX_K + 1, "at most 10000")])
def test_k_out_of_range_is_refused(k: int, message: str, signatures: Any) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"k must be {message}"):
        recommend(signatures, 1, k)


def test_inputs_of_unlike_length_are_refused_and_no_row_is_no_error(signatures: Any) -> None:
    one, two = tf.constant([1], tf.int64), tf.constant([1, 2], tf.int64)
    with pytest.raises(tf.errors.InvalidArgumentError, match="user and k must have equally many"):
        signatures["serving_default"](user=one, k=tf.constant([1, 1]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="user and item must have equally"):
        signatures["score"](user=two, item=one)
    nobody = signatures["serving_default"](user=one[:0], k=tf.constant([], tf.int32))
    assert nobody["items"].shape == (0, 0)


def test_score_gives_probability_and_logit(signatures: Any, neumf: Exported) -> None:
    raw_users, raw_items = (neumf.run.data.raw_ids(f) for f in ("user", "item"))
    answer = signatures["score"](user=tf.constant(raw_users[:9]), item=tf.constant(raw_items[:9]))
    expected = model_scores(neumf, np.arange(2, 11))[np.arange(9), np.arange(2, 11)]
    np.testing.assert_allclose(answer["logit"], expected, atol=1e-5)
    np.testing.assert_allclose(answer["probability"], 1 / (1 + np.exp(-expected)), atol=1e-5)
    assert answer["is_known"].numpy().all()


def test_score_marks_ids_that_training_never_saw(signatures: Any, neumf: Exported) -> None:
    user, item = (int(neumf.run.data.raw_ids(f)[0]) for f in ("user", "item"))
    pairs = [(user, item), (STRANGER, item), (user, STRANGER)]
    users, items = (tf.constant(ids, tf.int64) for ids in zip(*pairs, strict=True))
    answer = signatures["score"](user=users, item=items)
    np.testing.assert_array_equal(answer["is_known"], [True, False, False])


def test_model_card_says_what_the_version_is(mf_text: Exported) -> None:
    card = json.loads((mf_text.path / "assets.extra" / "model_card.json").read_text())
    assert card["schema_sha256"] == schema_sha256(mf_text.run.data)
    assert card["config"]["model"]["variant"] == "mf"
    assert card["results"] == {"test": {"ndcg@10/full": 0.25}}


class _OtherInGraph:
    """A model whose scores in a graph are not those outside it."""

    def __init__(self, model: Recommender) -> None:
        self.tables, self.weights, self.scores = model.tables, model.weights, model.scores
        self._model = model

    def item_scores(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        return self._model.item_scores(batch) + (0.0 if tf.executing_eagerly() else 0.001)


def test_failed_verification_publishes_nothing(neumf: Exported, tmp_path: Path) -> None:
    broken: Any = _OtherInGraph(neumf.run.model)
    with pytest.raises(InputError, match="must give the trainer's scores in a clean process"):
        export(replace(neumf.run, model=broken), tmp_path / "export")
    assert list((tmp_path / "export").iterdir()) == []


def test_published_version_is_never_changed(neumf: Exported) -> None:
    with pytest.raises(InputError, match="never changes a published version"):
        export(load_run(neumf.run.folder), neumf.path.parent, version=1)


def test_command_names_a_missing_run(tmp_path: Path) -> None:
    done = run_module("serving.export", f"--model_dir={tmp_path}/no", f"--export_dir={tmp_path}/e")
    assert done.returncode == 2
    assert "error: A run folder must hold a config.json." in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "e").exists()
