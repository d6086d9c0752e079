"""Exports a trained run as a SavedModel for TF Serving: raw ids in, raw ids out.

  python -m serving.export --model_dir=RUN --export_dir=EXPORT

Writes EXPORT/<version>, whole or not at all: before it is published, a clean process must give
the trainer's scores with it. A model card and warm-up requests are in its assets.extra.
Signatures (`saved_model_cli show --dir EXPORT/1 --all`):

  recommend_user   user, k -> items, scores, is_popular, unknown_share
  recommend        user, history, exclude, allow, k, exclude_seen -> the same
  score            user, item, or the raw features of a row -> logit, probability, is_known

The first of them that the model and its data can answer is the default.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import cast

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

import numpy as np
import tensorflow as tf
from absl import app, flags, logging

import models  # noqa: F401  Keras 2 must be chosen before tf.keras is touched.
from configs.runs import TrainedRun, in_bfloat16, load_run
from data.atomic import atomic_folder, check_writable
from data.errors import InputError
from serving.model_card import ModelCard, model_card, write_card
from serving.precision import TOLERANCES, Precision
from serving.sample import Sample, raw_rows, trainer_answers
from serving.signatures.graph import ServingGraph
from serving.versions import version_folders
from serving.warm_up_requests import write_warm_up

EXIT_BAD_INPUT = 2

_MODEL_DIR = flags.DEFINE_string("model_dir", None, "Run folder of a finished run.")
_EXPORT_DIR = flags.DEFINE_string("export_dir", None, "Folder that holds the version folders.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "The run's dataset, where it has moved.")
_PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    list(TOLERANCES),
    "Of the embedding tables: bfloat16 takes half the memory, and scores differ a little.",
)
_SKIP_VERIFY = flags.DEFINE_bool(
    "skip_verify", False, "Publish without the check that a clean process gives the same scores."
)
_SKIPPED = """
WARNING: --skip_verify: nobody has checked that this export gives the trainer's scores, that it
loads without this project's code, or that it hides seen and excluded items.
"""
_VERSION = flags.DEFINE_integer("version", None, "Version; by default the next.", lower_bound=1)


@dataclass(frozen=True)
class ExportOptions:
    """How a run is exported.

    Attributes:
        version: The version; by default the next.
        is_verified: Whether a clean process must give the trainer's scores first.
        precision: Of the embedding tables, in which scores are compared.
    """

    version: int | None = None
    is_verified: bool = True
    precision: Precision = "float32"


def export(run: TrainedRun, export_dir: Path, options: ExportOptions = ExportOptions()) -> Path:
    """Writes and verifies a version.

    Args:
        run: The trained run.
        export_dir: Folder that holds the version folders.
        options: How to export.

    Returns:
        The version's folder.

    Raises:
        InputError: The version exists, or the export does not give the trainer's scores.
    """
    number = options.version or max(version_folders(export_dir), default=0) + 1
    target = export_dir / str(number)
    if target.exists():
        raise InputError(
            "An export never changes a published version",
            received=target,
            action="Leave --version out to take the next",
        )
    with atomic_folder(target) as partial:
        card, answers = _write(run, partial, options)
        if options.is_verified:
            _verify(answers, partial, options.precision)
        write_card(card, partial)
    return target


def _write(run: TrainedRun, folder: Path, options: ExportOptions) -> tuple[ModelCard, Sample]:
    answers = trainer_answers(run)  # first, as the graph freezes parts of the model
    written = in_bfloat16(run) if options.precision == "bfloat16" else run
    write_version(written, folder)
    write_warm_up(folder, answers)
    tolerance = TOLERANCES[options.precision] if options.is_verified else None
    return model_card(written, options.precision, tolerance), answers


def write_version(run: TrainedRun, folder: Path) -> None:
    """Writes the SavedModel, unchecked."""
    graph = ServingGraph(run)
    tf.saved_model.save(graph, str(folder), signatures=graph.signatures())


def example(run: TrainedRun) -> str:
    """Returns the flags with which `serving.client` asks for a user or row of the data."""
    if run.model.recommends:
        user = run.data.raw_ids("user")[0]
        text_ids = " --text_ids" if isinstance(user, str) else ""
        return f"--users={shlex.quote(str(user))}{text_ids}"
    row = {name: values.tolist() for name, values in raw_rows(run, 1).items()}
    return f"--features={shlex.quote(json.dumps(row, default=bytes.decode))}"


def _verify(answers: Sample, folder: Path, precision: Precision) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        sample = Path(scratch, "sample.npz")
        np.savez(sample, **answers)  # type: ignore[arg-type]
        tolerance = str(TOLERANCES[precision])
        command = [sys.executable, "-m", "serving.verify", str(folder.resolve()), str(sample)]
        done = subprocess.run(
            [*command, tolerance],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode < 0:
        raise InputError(
            "The process that checks the export must come to its end",
            received=f"python -m serving.verify killed by {signal.Signals(-done.returncode).name}",
            where=folder,
            action="Nothing was published. If memory ran out (dmesg | tail), free some, or export "
            "on a larger machine",
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
        check_writable(Path(_EXPORT_DIR.value))
        run = load_run(_MODEL_DIR.value, _DATA_DIR.value)
        shown = example(run)
        precision = cast(Precision, _PRECISION.value)
        options = ExportOptions(_VERSION.value, not _SKIP_VERIFY.value, precision)
        target = export(run, Path(_EXPORT_DIR.value), options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    checked = "a clean process gave the trainer's scores"
    if _SKIP_VERIFY.value:
        checked = "NOT CHECKED"
        print(_SKIPPED, file=sys.stderr)
    print(f"Exported to {target}; {checked}")
    name = run.config.model_name
    print(
        f"Next: python -m serving.local_server --model_name={name} "
        f"--model_base_path={shlex.quote(str(target.parent))}"
    )
    print(f"Then: python -m serving.client --model_name={name} {shown}")


if __name__ == "__main__":
    app.run(main)
