"""What the clean-process check finds in an export that answers otherwise than the trainer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from answers import model_scores, pasts, ranked
from conftest import Exported

from data.assemble import PrepareOptions, prepare
from data.dataset import PreparedDataset
from data.errors import InputError
from data.interactions import Interactions
from serving.sample import trainer_answers
from serving.signatures.raw_ids import RawIds
from serving.verify import differences
from tests.commands import run_module

Sample = dict[str, np.ndarray]
K = 5


@pytest.fixture
def sample(neumf: Exported) -> Sample:
    """What the model answers for three users who are said to have seen nothing new."""
    data = neumf.run.data
    scores = model_scores(neumf, [2, 3, 4])
    best = np.stack(
        [ranked(of_user, set(pasts(neumf)[n + 2]))[:K] for n, of_user in enumerate(scores)]
    )
    users = data.raw_ids("user")[:3]
    return {
        "user": users,
        "items": data.raw_ids("item")[best - 2],
        "scores": np.take_along_axis(scores, best, axis=1),
        "seen": np.array([], np.int64),
        "seen_lengths": np.zeros(3, np.int64),
        "score:user": users,
        "score:item": np.repeat(data.raw_ids("item")[:1], 3),
        "logit": scores[:, 2].copy(),
    }


def _other_scores(sample: Sample) -> None:
    sample["scores"][1, 3] -= 1e-3


def _other_items(sample: Sample) -> None:
    sample["items"][1, [0, 3]] = sample["items"][1, [3, 0]]


def _another_item(sample: Sample) -> None:
    sample["items"][1, 0] = -7


def _other_logits(sample: Sample) -> None:
    sample["logit"][2] += 1e-3


def _seen_item(sample: Sample) -> None:
    sample["seen"], sample["seen_lengths"] = sample["items"][2, :1], np.array([0, 0, 1])


def test_same_answers_are_no_difference(neumf: Exported, sample: Sample) -> None:
    assert differences(str(neumf.path), sample) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_other_scores, "recommend_user: scores differ by up to 0.00"),
        (_other_items, "recommend_user: items have other scores than the trainer gives them"),
        (_another_item, "recommend_user: items have other scores than the trainer gives them"),
        (_other_logits, "score: logits differ"),
        (_seen_item, "is shown, which was seen or excluded"),
    ],
)
def test_difference_is_named(
    change: Callable[[Sample], None], message: str, neumf: Exported, sample: Sample
) -> None:
    change(sample)
    found = differences(str(neumf.path), sample)
    assert len(found) == 1
    assert message in found[0]


def test_equal_scores_may_be_of_other_items(neumf: Exported, sample: Sample) -> None:
    """The last place of a list may go to any of several items with the same score."""
    sample["items"][:, -1] = -7
    assert differences(str(neumf.path), sample) == []


class _Wrapped(tf.Module):
    """An export whose `recommend` forgets what a request gives it."""

    def __init__(self, path: Path, forgotten: str) -> None:
        super().__init__()
        self.loaded = tf.saved_model.load(str(path))
        self._forgotten = forgotten

    def recommend(self, **given: tf.Tensor) -> dict[str, tf.Tensor]:
        given[self._forgotten] = given[self._forgotten][:, :0]
        return self.loaded.signatures["recommend"](**given)

    def save(self, folder: Path) -> None:
        _, specs = self.loaded.signatures["recommend"].structured_input_signature
        names = ("serving_default", "recommend_user", "score")
        signatures = {name: self.loaded.signatures[name] for name in names}
        signatures["recommend"] = tf.function(self.recommend).get_concrete_function(**specs)
        tf.saved_model.save(self, str(folder), signatures=signatures)


def test_items_to_exclude_that_are_shown_are_found(
    neumf: Exported, sample: Sample, tmp_path: Path
) -> None:
    _Wrapped(neumf.path, "exclude").save(tmp_path / "1")
    found = differences(str(tmp_path / "1"), sample)
    assert len(found) == 1
    assert found[0].startswith("recommend with items to exclude: ")


def test_command_ends_with_1_where_histories_are_not_heeded(
    bert_text: Exported, tmp_path: Path
) -> None:
    _Wrapped(bert_text.path, "history").save(tmp_path / "1")
    np.savez(tmp_path / "sample.npz", **trainer_answers(bert_text.run))  # type: ignore[arg-type]
    paths = [str(tmp_path / "1"), str(tmp_path / "sample.npz")]
    done = run_module("serving.verify", *paths, "1e-5")
    assert done.returncode == 1
    assert "recommend with histories: scores differ by up to" in done.stderr


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
