"""What is published, what is not, and that a clean process answers as the trainer does."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from answers import assert_lists, every_model, model_scores, pasts
from conftest import Exported, ExportOf, run_module

from configs.runs import load_run, schema_sha256
from data.errors import InputError
from models.recommender import Recommender
from serving.export import export
from serving.sample import trainer_answers
from serving.verify import differences

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


@every_model
def test_check_of_every_model_passes(name: str, export_of: ExportOf) -> None:
    exported = export_of(name)
    sample = trainer_answers(exported.run, users=40)
    assert ("history" in sample) == (exported.run.model.scores_by == "seen_item")
    assert differences(str(exported.path), sample) == []


@pytest.mark.parametrize("name", ["ncf", "bert_text"])
def test_fresh_process_gives_the_trainers_scores(
    name: str, export_of: ExportOf, tmp_path: Path
) -> None:
    exported = export_of(name)
    raw_users = exported.run.data.raw_ids("user")
    users = np.char.encode(raw_users) if raw_users.dtype.kind == "U" else raw_users
    np.save(tmp_path / "users.npy", users)
    paths = [str(exported.path), str(tmp_path / "users.npy"), str(tmp_path / "answer.npz")]
    subprocess.run([sys.executable, "-c", FRESH, *paths], check=True, cwd=tmp_path)
    with np.load(tmp_path / "answer.npz", allow_pickle=True) as answer:
        items, scores = answer["items"], answer["scores"]
        assert not answer["is_popular"].any()
    expected = model_scores(exported, list(range(2, len(users) + 2)))
    for row in range(len(users)):
        seen = set(pasts(exported)[row + 2])
        assert_lists(items[row], scores[row], exported, expected[row], seen)


def test_model_card_says_what_the_version_is(bert_text: Exported) -> None:
    card = json.loads((bert_text.path / "assets.extra" / "model_card.json").read_text())
    assert card["schema_sha256"] == schema_sha256(bert_text.run.data)
    assert card["config"]["model_name"] == "bert4rec"
    assert card["results"] == {"test": {"ndcg@10/full": 0.25}}


class _OtherInGraph:
    """A model whose scores in a graph are not those outside it."""

    def __init__(self, model: Recommender) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

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
