"""Exports a trained run as a SavedModel for TF Serving: raw ids in, raw ids out.

  python -m serving.export --model_dir=RUN --export_dir=EXPORT

Writes EXPORT/<version>, whole or not at all: before it is published, a clean process must give
the trainer's scores with it. Signatures (`saved_model_cli show --dir EXPORT/1 --all`):

  recommend_user   user, k -> items, scores, is_popular, unknown_share (also the default)
  recommend        user, history, exclude, k, exclude_seen -> the same
  score            user, item -> probability, logit, is_known
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

import numpy as np
import tensorflow as tf
from absl import app, flags, logging

import models  # noqa: F401  Keras 2 must be chosen before tf.keras is touched.
from configs.runs import TrainedRun, config_to_json, load_run, schema_sha256
from data.atomic import atomic_folder, write_json
from data.dataset import Positives, PreparedDataset
from data.errors import InputError
from data.schema import FIRST_ID
from serving.model_manager import version_folders
from serving.recommend import NO_SCORE, RecommendGraph

EXIT_BAD_INPUT = 2
CARD_FILE = "assets.extra/model_card.json"
_VERIFIED_USERS = 1_000
_VERIFIED_ITEMS = 50
_CHUNK = 100  # users scored on all items at once

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "Run folder of a finished run.")
_EXPORT_DIR = flags.DEFINE_string("export_dir", None, "Folder that holds the version folders.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "The run's dataset, where it has moved.")
_VERSION = flags.DEFINE_integer("version", None, "Version; by default the next.", lower_bound=1)


def export(run: TrainedRun, export_dir: Path, version: int | None = None) -> Path:
    """Writes and verifies a version.

    Returns:
        The version's folder.

    Raises:
        InputError: The version exists, or the export does not give the trainer's scores.
    """
    number = version or max(version_folders(export_dir), default=0) + 1
    target = export_dir / str(number)
    if target.exists():
        raise InputError(
            "An export never changes a published version",
            received=target,
            action="Leave --version out to take the next",
        )
    graph = RecommendGraph(run)
    with atomic_folder(target) as partial:
        tf.saved_model.save(graph, str(partial), signatures=graph.signatures())
        (partial / CARD_FILE).parent.mkdir(exist_ok=True)
        write_json(partial / CARD_FILE, model_card(run))
        _verify(run, partial)
    return target


def model_card(run: TrainedRun) -> dict[str, object]:
    """Returns what the version is: data, config, and metrics with their protocol."""
    path = run.folder / "metrics.json"
    return {
        "dataset": run.data.schema.name,
        "schema_sha256": schema_sha256(run.data),
        "step": run.step,
        "config": config_to_json(run.config),
        "results": json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None,
    }


def _verify(run: TrainedRun, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        sample = Path(scratch, "sample.npz")
        np.savez(sample, **_sample(run))  # type: ignore[arg-type]
        command = [sys.executable, "-m", "serving.verify", str(folder.resolve()), str(sample)]
        done = subprocess.run(
            command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise InputError(
            "The export must give the trainer's scores in a clean process",
            received=done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no answer",
            where=folder,
            action="Nothing was published; please report this with the run's config.json",
        )


def _sample(run: TrainedRun) -> dict[str, np.ndarray]:
    """Returns what the trainer's model answers for some users."""
    known = len(run.data.raw_ids("user"))
    users = np.unique(np.linspace(0, known - 1, min(known, _VERIFIED_USERS)).astype(np.int32))
    items = _spread_items(run.data, len(users))
    seen = run.data.positives(list(run.data.schema.view("histories").splits))
    chunks = [slice(start, start + _CHUNK) for start in range(0, len(users), _CHUNK)]
    answers = [_answers(run, seen, users[part], items[part]) for part in chunks]
    bounds = [slice(*seen.starts[u + FIRST_ID : u + FIRST_ID + 2]) for u in users]
    raw_users, raw_items = _bytes(run.data.raw_ids("user")), _bytes(run.data.raw_ids("item"))
    flat = np.concatenate([seen.items[bound] for bound in bounds])
    return {
        "users": raw_users[users],
        "scores": np.concatenate([best for best, _ in answers]),
        "score_items": raw_items[items],
        "logits": np.concatenate([logits for _, logits in answers]),
        "seen": raw_items[flat - FIRST_ID],
        "seen_lengths": np.array([bound.stop - bound.start for bound in bounds]),
    }


def _answers(
    run: TrainedRun, seen: Positives, users: np.ndarray, items: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the best scores of items not seen (users, n), and logits of the items (users,)."""
    scores = run.model.item_scores({"user": tf.constant(users + FIRST_ID)}).numpy()
    logits = np.take_along_axis(scores, items[:, None] + FIRST_ID, axis=1)[:, 0]
    scores[:, :FIRST_ID] = -np.inf
    for row, user in enumerate(users + FIRST_ID):
        scores[row, seen.items[slice(*seen.starts[user : user + 2])]] = -np.inf
    best = -np.sort(-scores, axis=1)[:, :_VERIFIED_ITEMS]
    return np.where(np.isneginf(best), NO_SCORE, best), logits


def _spread_items(data: PreparedDataset, count: int) -> np.ndarray:
    return (np.arange(count) * 7919) % len(data.raw_ids("item"))


def _bytes(raw: np.ndarray) -> np.ndarray:
    """Returns text as UTF-8 bytes, as TensorFlow holds it; integers as they are."""
    return np.char.encode(raw, "utf-8") if raw.dtype.kind == "U" else raw


def main(argv: list[str]) -> None:
    """Parses, builds and calls."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    logging.set_verbosity(logging.ERROR)  # TensorFlow's notes on saving help no user
    tf.get_logger().setLevel("ERROR")
    try:
        if not _MODEL_DIR.value or not _EXPORT_DIR.value:
            raise InputError("--model_dir and --export_dir must be given", action="See --help")
        run = load_run(_MODEL_DIR.value, _DATA_DIR.value)
        target = export(run, Path(_EXPORT_DIR.value), _VERSION.value)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    print(f"Exported to {target}; a clean process gave the trainer's scores")
    print(
        f"Next: python -m serving.local_server --model_name={run.config.model_name} "
        f"--model_base_path={target.parent}"
    )


if __name__ == "__main__":
    app.run(main)
