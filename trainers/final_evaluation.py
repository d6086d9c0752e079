"""The evaluation of a finished run: on its own dataset, or on a later one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from configs.base import EvaluationConfig
from configs.results import results_file
from configs.runs import load_run, read_config_file
from data.dataset import PreparedDataset
from models.communicator import Communicator
from trainers.announcements import below_baseline
from trainers.board.projector import write_projector
from trainers.details import details_folder
from trainers.results import final_results, results_table, write_results


def evaluate_run(
    model_dir: Path,
    data_dir: Path | str | None,
    timings: dict[str, float],
    settings: EvaluationConfig,
    communicator: Communicator,
) -> None:
    """Evaluates a trained run on test; prints the table and writes the results to the run folder.

    Args:
        model_dir: The run folder.
        data_dir: Where its dataset is now; or another dataset with the same columns, whose results
            get a file and a folder of their own.
        timings: Of its training.
        settings: What is measured.
        communicator: Other processes.

    Raises:
        InputError: The run is not finished, its dataset is missing, or the other one has other
            columns.
    """
    given = PreparedDataset(data_dir) if data_dir else None
    sha256 = given.schema_sha256 if given else ""
    own = given is None or sha256 == read_config_file(model_dir)["data"]["schema_sha256"]
    run = load_run(model_dir, data_dir if own else None, communicator)
    run = replace(run, config=replace(run.config, evaluation=settings))
    details = details_folder(model_dir, None if own else sha256)
    results = final_results(run, timings, communicator, details, None if own else given)
    if communicator.rank == 0:
        path = results_file(model_dir, None if own else sha256)
        write_results(path, results)
        print(results_table(results, settings.ks))
        warning = below_baseline(run, results) if own else None
        if warning:
            print(warning)
        if not own:
            print("\n".join(_notes(model_dir, results)))
            print(f"written to {path}")
    if own:
        write_projector(run, silent=communicator.rank > 0)


def _notes(model_dir: Path, results: dict[str, Any]) -> list[str]:
    """Returns what a reader of the results on another dataset must know."""
    unknown = {name: count for name, count in results["unknown_ids"].items() if count}
    told = ", ".join(f"{name} {count:,}" for name, count in unknown.items()) or "none"
    notes = [f"ids that {model_dir} does not know: {told}"]
    trained = results.get("trained_targets")
    if trained:
        notes.append(
            f"WARNING: {trained:,} targets are pairs of a user and an item that {model_dir} was "
            "trained on: where no pair comes twice, the split has moved rows from train to test, "
            "and the metrics are too good"
        )
    return notes
