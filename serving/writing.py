"""Writes what is published: the SavedModel, warm-up requests, a sample to check it with, a card.

  python -m serving.writing RUN DATA_OR_NOTHING FOLDER SCRATCH PRECISION TOLERANCE_OR_NOTHING

is the process that `serving.export` starts.
"""

from __future__ import annotations

import datetime
import json
import os
import shlex
import sys
from pathlib import Path
from typing import cast

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

import numpy as np
import tensorflow as tf
from absl import logging

import models  # noqa: F401  Keras 2 must be chosen before tf.keras is touched.
from configs.results import read_results, results_file
from configs.runs import TrainedRun, config_to_json, in_bfloat16, load_run
from data.attribute_table import read_item_titles
from data.errors import InputError
from data.schema import FIRST_ID
from data.titles import write_titles
from serving.model_card import ModelCard
from serving.precision import Precision
from serving.publishing import (
    EXIT_BAD_INPUT,
    SAMPLE_FILE,
    WRITTEN_FILE,
    ExportOptions,
    Written,
    publish,
)
from serving.sample import raw_rows, trainer_answers
from serving.signatures.graph import ServingGraph
from serving.versions import TITLES_FILE
from serving.warm_up_requests import write_warm_up


def export(run: TrainedRun, export_dir: Path, options: ExportOptions | None = None) -> Path:
    """Publishes a version of a run that is loaded here, and returns its folder.

    This process goes on to hold the tables while another checks them; see `publish` for errors.
    """
    options = options or ExportOptions()

    def write(folder: Path, scratch: Path) -> None:
        write_files(run, folder, scratch, options.precision, options.tolerance)

    return publish(export_dir, options, write)[0]


def write_files(
    run: TrainedRun, folder: Path, scratch: Path, precision: Precision, tolerance: float | None
) -> None:
    """Writes the SavedModel, its warm-up requests, and what `publish` needs of it.

    Args:
        run: The trained run.
        folder: Of the version.
        scratch: For `SAMPLE_FILE` and `WRITTEN_FILE`.
        precision: Of the embedding tables.
        tolerance: What the card says of the check; None where there is none.
    """
    shown = example(run)
    answers = trainer_answers(run)  # before the graph, which freezes parts of the model
    np.savez(scratch / SAMPLE_FILE, **answers)  # type: ignore[arg-type]
    written = in_bfloat16(run) if precision == "bfloat16" else run
    write_version(written, folder)
    write_warm_up(folder, answers)
    _write_titles(run, folder)
    Written(model_card(written, precision, tolerance), shown).save(scratch / WRITTEN_FILE)


def write_version(run: TrainedRun, folder: Path) -> None:
    """Writes the SavedModel, unchecked."""
    graph = ServingGraph(run)
    tf.saved_model.save(graph, str(folder), signatures=graph.signatures())


def _write_titles(run: TrainedRun, folder: Path) -> None:
    titles = read_item_titles(run.data) if run.model.recommends else None
    if titles is not None:
        raw_ids = run.data.raw_ids("item").tolist()
        write_titles(folder / TITLES_FILE, zip(raw_ids, titles[FIRST_ID:].tolist(), strict=True))


def model_card(run: TrainedRun, precision: Precision, tolerance: float | None) -> ModelCard:
    """Returns the card of a run's export."""
    return ModelCard(
        run.config.model_name,
        run.data.schema.name,
        run.data.schema_sha256,
        run.step,
        config_to_json(run.config),
        read_results(results_file(run.folder)) or None,
        precision,
        tolerance,
        tf.__version__,
        datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    )


def example(run: TrainedRun) -> str:
    """Returns the flags with which `serving.client` asks for a user or row of the data."""
    if run.model.recommends:
        user = run.data.raw_ids("user")[0]
        text_ids = " --text_ids" if isinstance(user, str) else ""
        return f"--users={shlex.quote(str(user))}{text_ids}"
    row = {name: values.tolist() for name, values in raw_rows(run, 1).items()}
    return f"--features={shlex.quote(json.dumps(row, default=bytes.decode))}"


def main(arguments: list[str]) -> int:
    """Loads and writes; returns the exit code."""
    logging.set_verbosity(logging.ERROR)  # TensorFlow's notes on saving help no user
    tf.get_logger().setLevel("ERROR")
    model_dir, data_dir, folder, scratch, precision, tolerance = arguments
    within = float(tolerance) if tolerance else None
    try:
        run = load_run(Path(model_dir), data_dir or None)
        write_files(run, Path(folder), Path(scratch), cast(Precision, precision), within)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
