"""Finished runs: read, and checked to be comparable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.results import METRICS_FILE, card_difference, read_results, results_file
from configs.runs import read_config_file
from data.errors import InputError

_PARTS = ("metrics", "baseline", "best_reachable", "protocol", "parameters", "timings")
_HASH_DIGITS = 8


@dataclass(frozen=True)
class FinishedRun:
    """A run with its results.

    Attributes:
        folder: The run folder.
        config: The content of `config.json`.
        results: The content of `metrics.json`.
    """

    folder: Path
    config: dict[str, Any]
    results: dict[str, Any]

    @property
    def name(self) -> str:
        """Model and recipe."""
        return f"{self.config['model_name']}/{self.config['recipe']}"

    def settings(self) -> dict[str, Any]:
        """Returns what training depends on but for the seed, by path."""
        settings = {"data": self.config["data"]["schema_sha256"][:_HASH_DIGITS]}
        for part in ("model", "trainer"):
            for field, value in self.config[part].items():
                settings[f"{part}.{field}"] = value
        del settings["trainer.seed"]
        return settings


def read_runs(folders: Iterable[Path]) -> tuple[list[FinishedRun], list[Path]]:
    """Reads runs. Returns the finished ones, and the folders of the others.

    Raises:
        InputError: A folder that holds no run, or results of another version; or none is finished.
    """
    finished, unfinished = [], []
    for folder in {folder.resolve(): folder for folder in folders}.values():
        config, results = read_config_file(folder), read_results(results_file(folder))
        if not results:
            unfinished.append(folder)
            continue
        missing = [part for part in _PARTS if part not in results]
        if missing:
            raise InputError(
                f"{METRICS_FILE} must hold the parts that this version writes",
                received=f"no {', '.join(missing)}",
                where=folder / METRICS_FILE,
                action=f"Write it again: python -m trainers.run --mode=evaluate "
                f"--model_dir={folder}",
            )
        finished.append(FinishedRun(folder, config, results))
    if not finished:
        raise InputError(
            "At least one finished run must be given",
            received=", ".join(map(str, unfinished)) or "none",
            action="Finish one: run its training command again, or see --help",
        )
    return finished, unfinished


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
        action="Make a table of each, or evaluate all on one prepared dataset",
    )
