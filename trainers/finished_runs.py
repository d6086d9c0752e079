"""Finished runs: read, and checked to be comparable."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.results import (
    HASH_DIGITS,
    METRICS_FILE,
    card_difference,
    read_results,
    results_file,
    results_on,
)
from configs.runs import read_config_file
from data.dataset import PreparedDataset
from data.errors import InputError
from trainers.details import details_folder

_PARTS = ("metrics", "baseline", "best_reachable", "protocol", "parameters", "timings")


@dataclass(frozen=True)
class FinishedRun:
    """A run with its results.

    Attributes:
        folder: The run folder.
        config: The content of `config.json`.
        results: The content of `metrics.json`, or of the file of another dataset.
        details: What was found of each user or row there, if it was kept.
        data_dir: The dataset that it was evaluated on; None for its own.
    """

    folder: Path
    config: dict[str, Any]
    results: dict[str, Any]
    details: Path
    data_dir: Path | None = None

    @property
    def name(self) -> str:
        """Model and recipe."""
        return f"{self.config['model_name']}/{self.config['recipe']}"

    def settings(self) -> dict[str, Any]:
        """Returns what training depends on but for the seed, by path."""
        settings = {"data": self.config["data"]["schema_sha256"][:HASH_DIGITS]}
        for part in ("model", "trainer"):
            for field, value in self.config[part].items():
                settings[f"{part}.{field}"] = value
        del settings["trainer.seed"]
        return settings

    def evaluation_command(self) -> str:
        """Returns the command that evaluates the run again, and trains nothing."""
        return evaluation_command([self.folder], self.data_dir)


def read_runs(
    folders: Iterable[Path], data_dir: Path | None = None
) -> tuple[list[FinishedRun], list[Path]]:
    """Reads runs. Returns the finished ones, and the folders of the others.

    Args:
        folders: The run folders.
        data_dir: Take what the runs reached on this prepared dataset: a run that was trained on
            another one must have been evaluated here. By default each on its own.

    Raises:
        InputError: A folder that holds no run, or results of another version; none is finished; or
            one was not evaluated on the dataset.
    """
    sha256 = None if data_dir is None else PreparedDataset(data_dir).schema_sha256
    finished, unfinished, elsewhere = [], [], []
    for folder in {folder.resolve(): folder for folder in folders}.values():
        config = read_config_file(folder)
        run = _read_run(folder, config, data_dir, sha256 or config["data"]["schema_sha256"])
        if run.results:
            _check_parts(run)
            finished.append(run)
        elif results_file(folder).is_file():
            elsewhere.append(folder)
        else:
            unfinished.append(folder)
    if elsewhere:
        raise InputError(
            "Every run must have been evaluated on the dataset of --data_dir",
            received=f"{', '.join(map(str, elsewhere))}, evaluated on other data only",
            action=f"Evaluate, which trains nothing: {evaluation_command(elsewhere, data_dir)}",
        )
    if not finished:
        raise InputError(
            "At least one finished run must be given",
            received=", ".join(map(str, unfinished)) or "none",
            action="Finish one: run its training command again, or see --help",
        )
    return finished, unfinished


def _read_run(
    folder: Path, config: dict[str, Any], data_dir: Path | None, sha256: str
) -> FinishedRun:
    own_sha256 = config["data"]["schema_sha256"]
    _, results = results_on(folder, own_sha256, sha256)
    if sha256 == own_sha256:
        return FinishedRun(folder, config, results, details_folder(folder))
    if results:  # which know nothing of the training
        timings = read_results(results_file(folder)).get("timings", {})
        results = {**results, "timings": {**timings, **results["timings"]}}
    return FinishedRun(folder, config, results, details_folder(folder, sha256), data_dir)


def _check_parts(run: FinishedRun) -> None:
    missing = [part for part in _PARTS if part not in run.results]
    if missing:
        raise InputError(
            f"{METRICS_FILE} must hold the parts that this version writes",
            received=f"no {', '.join(missing)}",
            where=run.folder,
            action=f"Write it again: {run.evaluation_command()}",
        )


def evaluation_command(folders: Sequence[Path], data_dir: Path | None) -> str:
    """Returns the command that evaluates finished runs, on their own dataset or another."""
    command = "python -m trainers.run --mode=evaluate"
    if data_dir is not None:
        command += f" --data_dir={shlex.quote(str(data_dir))}"
    runs = [shlex.quote(str(folder)) for folder in folders]
    if len(runs) == 1:
        return f"{command} --model_dir={runs[0]}"
    return f'for run in {" ".join(runs)}; do {command} --model_dir="$run"; done'


def evaluation_notes(runs: Sequence[FinishedRun]) -> list[str]:
    """Returns what a reader must know of results on another dataset than a run's own."""
    notes = []
    for run in runs:
        trained = run.results.get("trained_targets")
        if trained:
            notes.append(
                f"{run.folder} was trained on {trained:,} of the pairs of a user and an item that "
                "it is to predict here, which flatters it unless pairs come twice"
            )
    return notes


def check_protocols(runs: Sequence[FinishedRun]) -> None:
    """Checks that all runs were evaluated in the same way.

    Raises:
        InputError: Two runs have no protocol in common, or a card differs; says where.
    """
    first: dict[str, FinishedRun] = {}
    for run in runs:
        cards = run.results["protocol"]
        if not set(cards) & set(runs[0].results["protocol"]):
            raise _incomparable(
                "protocol", [runs[0], run], [[*runs[0].results["protocol"]], [*cards]]
            )
        for name, card in cards.items():
            other = first.setdefault(name, run)
            known = other.results["protocol"][name]
            field = card_difference(known, card)
            if field is not None:
                path = f"protocol.{name}.{field}"
                raise _incomparable(path, [other, run], [known.get(field), card.get(field)])


def _incomparable(field: str, runs: Sequence[FinishedRun], values: Sequence[object]) -> InputError:
    found = [f"{value!r} in {run.folder}" for run, value in zip(runs, values, strict=True)]
    return InputError(
        "Only runs that were evaluated in the same way can be compared",
        received=" and ".join(found),
        where=f"{field} of their {METRICS_FILE}",
        action=_to_compare(*runs),
    )


def _to_compare(first: FinishedRun, second: FinishedRun) -> str:
    """Returns how two runs get results that can be compared."""
    own, data = first.config["data"], second.config["data"]
    if first.data_dir or second.data_dir or own["schema_sha256"] == data["schema_sha256"]:
        return "Make a table of each, or evaluate all again in the same way"
    command = evaluation_command([first.folder], Path(data["folder"]))
    return (
        "They were trained on two datasets. Compare them on one: "
        f"{command}, and then give --data_dir={shlex.quote(data['folder'])} here"
    )
