"""What is published, what is not, and that a clean process answers as the trainer does."""

from __future__ import annotations

import hashlib
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
from conftest import Exported, ExportOf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from configs.runs import load_run
from data.atomic import write_json
from data.errors import InputError
from models import table_stack
from models.recommender import Recommender
from serving.model_card import CARD_FILE, CARD_TEXT
from serving.publishing import ExportOptions
from serving.sample import trainer_answers
from serving.server.servable import Servable
from serving.server.warm_up import warm_up
from serving.verify import differences
from serving.versions import WARM_UP_FILE
from serving.writing import export
from tests.commands import run_module

REPOSITORY = Path(__file__).parents[2]
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
    card = json.loads((bert_text.path / CARD_FILE).read_text())
    assert card["schema_sha256"] == bert_text.run.data.schema_sha256
    assert card["config"]["model_name"] == "bert4rec"
    assert card["results"] == {"metrics": {"ndcg@10/full": 0.25}, "protocol": {"k": 10}}
    assert (card["precision"], card["tolerance"]) == ("float32", 1e-5)
    files = {
        p for p in bert_text.path.rglob("*") if p.is_file() and p.suffix not in (".json", ".md")
    }
    assert card["sha256"] == {
        path.relative_to(bert_text.path).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    text = (bert_text.path / CARD_TEXT).read_text()
    assert "| ndcg@10/full | 0.2500 |" in text
    assert "a clean process gave the trainer's scores within 1e-05" in text


@pytest.mark.parametrize("name", ["ncf", "bert_text"])
def test_warm_up_requests_ask_for_every_signature(name: str, export_of: ExportOf) -> None:
    exported = export_of(name)
    servable = Servable(name, 1, exported.path)
    path = str(exported.path / WARM_UP_FILE)
    asked = [
        PredictionLog.FromString(record).predict_log.request.model_spec.signature_name
        for record in tf.compat.v1.io.tf_record_iterator(path)
    ]
    assert sorted(asked) == ["recommend", "recommend_user", "score"]
    assert warm_up(servable) == 3
    servable.close()


def _bytes_of_variables(version: Path) -> int:
    return sum(path.stat().st_size for path in (version / "variables").iterdir())


@pytest.mark.parametrize("name", ["ncf", "vae_cf"])
def test_bfloat16_halves_the_tables_and_scores_stay_close(
    name: str, export_of: ExportOf, tmp_path: Path
) -> None:
    exported = export_of(name)
    run = load_run(exported.run.folder)
    path = export(run, tmp_path, ExportOptions(precision="bfloat16"))
    assert json.loads((path / CARD_FILE).read_text())["precision"] == "bfloat16"
    tables = exported.run.model.tables
    saved = _bytes_of_variables(exported.path) - _bytes_of_variables(path)
    assert saved == pytest.approx(2 * tables.size, rel=0.05)
    assert differences(str(path), trainer_answers(exported.run, users=20)) != []  # not within 1e-5


def test_the_check_can_be_left_out_aloud(neumf: Exported, tmp_path: Path) -> None:
    flags = [f"--model_dir={neumf.run.folder}", f"--export_dir={tmp_path}", "--skip_verify"]
    done = run_module("serving.export", *flags)
    assert done.returncode == 0, done.stderr
    assert "WARNING: --skip_verify: nobody has checked" in done.stderr
    assert "NOT CHECKED" in done.stdout
    assert json.loads((tmp_path / "1" / CARD_FILE).read_text())["tolerance"] is None
    assert "not checked against the trainer" in (tmp_path / "1" / CARD_TEXT).read_text()


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
    assert not (tmp_path / "export").exists()


def test_a_killed_check_is_told_and_publishes_nothing(
    neumf: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = tmp_path / "killed"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(killed))
    with pytest.raises(InputError, match=r"serving.verify killed by SIGKILL.*memory ran out"):
        export(load_run(neumf.run.folder), tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_published_version_is_never_changed(neumf: Exported) -> None:
    with pytest.raises(InputError, match="never changes a published version"):
        export(load_run(neumf.run.folder), neumf.path.parent, ExportOptions(version=1))


def test_tables_that_cannot_fit_are_refused_before_they_are_read(
    neumf: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_stack, "available_bytes", lambda ranks: 1000)
    with pytest.raises(InputError, match="must fit into this process's memory"):
        load_run(neumf.run.folder)


def test_a_writer_that_dies_publishes_nothing(neumf: Exported, tmp_path: Path) -> None:
    """Too little memory for TensorFlow, and enough for the process that waits for it."""
    command = f"ulimit -v 600000; exec {sys.executable} -m serving.export"
    flags = [f"--model_dir={neumf.run.folder}", f"--export_dir={tmp_path}"]
    done = subprocess.run(
        ["bash", "-c", f'{command} "$@"', "bash", *flags],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "error: The process that writes the export must end well" in done.stderr
    assert "Nothing was published" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_process_that_publishes_loads_no_tensorflow() -> None:
    code = "import sys, serving.export; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0


def test_command_names_a_missing_run(tmp_path: Path) -> None:
    done = run_module("serving.export", f"--model_dir={tmp_path}/no", f"--export_dir={tmp_path}/e")
    assert done.returncode == 2
    assert "error: A run folder must hold a config.json." in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "e").exists()


def test_a_run_that_is_worse_than_yesterdays_is_refused(tmp_path: Path) -> None:
    for folder, ndcg in (("today", 0.20), ("yesterday", 0.25)):
        (tmp_path / folder).mkdir()
        data = {"folder": "DATA", "schema_sha256": "0" * 64}
        write_json(tmp_path / folder / "config.json", {"data": data})
        results = {"metrics": {"ndcg@10/full": ndcg}, "protocol": {"full": {"users": 9}}}
        write_json(tmp_path / folder / "metrics.json", results)
    flags = [f"--model_dir={tmp_path / 'today'}", f"--export_dir={tmp_path / 'export'}"]
    flags.append("--must_not_regress=ndcg@10/full:0.01")
    done = run_module("serving.export", *flags, f"--baseline_run={tmp_path / 'yesterday'}")
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1] == (
        f"refused: ndcg@10/full 0.2, of {tmp_path / 'yesterday'} 0.25: worse by 0.05, "
        "at most 0.01 allowed"
    )
    assert not (tmp_path / "export").exists()
    done = run_module("serving.export", *flags)
    assert done.returncode == 2
    assert "--baseline_run and --must_not_regress go together" in done.stderr
