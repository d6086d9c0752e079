"""Exports a trained run as a SavedModel for TF Serving: raw ids in, raw ids out.

  python -m serving.export --model_dir=RUN --export_dir=EXPORT

Writes EXPORT/<version>, whole or not at all: before it is published, a clean process must give
the trainer's scores with it. Signatures (`saved_model_cli show --dir EXPORT/1 --all`):

  recommend_user   user, k -> items, scores, is_popular, unknown_share
  recommend        user, history, exclude, k, exclude_seen -> the same
  score            user, item, or the raw features of a row -> logit, probability, is_known

The first of them that the model and its data can answer is the default.
"""

from __future__ import annotations

import json
import os
import shlex
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
from data.errors import InputError
from serving.sample import raw_rows, trainer_answers
from serving.signatures.graph import ServingGraph
from serving.versions import version_folders

EXIT_BAD_INPUT = 2
CARD_FILE = "assets.extra/model_card.json"

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
    with atomic_folder(target) as partial:
        write_version(run, partial)
        _verify(run, partial)
    return target


def write_version(run: TrainedRun, folder: Path) -> None:
    """Writes the SavedModel and its card, unchecked."""
    graph = ServingGraph(run)
    tf.saved_model.save(graph, str(folder), signatures=graph.signatures())
    (folder / CARD_FILE).parent.mkdir(exist_ok=True)
    write_json(folder / CARD_FILE, model_card(run))


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


def example(run: TrainedRun) -> str:
    """Returns the flags with which `serving.client` asks for a user or row of the data."""
    if run.model.recommends:
        user = run.data.raw_ids("user")[0]
        text_ids = " --text_ids" if isinstance(user, str) else ""
        return f"--users={shlex.quote(str(user))}{text_ids}"
    row = {name: values.tolist() for name, values in raw_rows(run, 1).items()}
    return f"--features={shlex.quote(json.dumps(row, default=bytes.decode))}"


def _verify(run: TrainedRun, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        sample = Path(scratch, "sample.npz")
        np.savez(sample, **trainer_answers(run))  # type: ignore[arg-type]
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
    name = run.config.model_name
    print(f"Exported to {target}; a clean process gave the trainer's scores")
    print(
        f"Next: python -m serving.local_server --model_name={name} "
        f"--model_base_path={shlex.quote(str(target.parent))}"
    )
    print(f"Then: python -m serving.client --model_name={name} {example(run)}")


if __name__ == "__main__":
    app.run(main)
