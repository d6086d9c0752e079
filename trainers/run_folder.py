"""Opening a run folder: a new one, or one to go on with."""

from __future__ import annotations

import shlex
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from configs.base import RunConfig
from configs.runs import CONFIG_FILE, config_to_json, read_config_file, schema_sha256
from data.atomic import write_json
from data.dataset import PreparedDataset
from data.errors import InputError
from trainers.results import METRICS_FILE

_PACKAGES = ("tensorflow", "tf-keras", "numpy")


def open_run_folder(
    model_dir: Path, config: RunConfig, data: PreparedDataset, overwrite: bool
) -> dict[str, Any]:
    """Writes `config.json` into a new run folder, or checks that of a run to go on with.

    Returns:
        The content of `config.json`.

    Raises:
        InputError: The folder holds a finished run, or one with another config or dataset.
    """
    wanted = _resolved(config, data)
    if overwrite and (model_dir / CONFIG_FILE).is_file():
        shutil.rmtree(model_dir)
    if (model_dir / CONFIG_FILE).is_file():
        _check_same(model_dir, wanted)
        return wanted
    if model_dir.exists() and any(model_dir.iterdir()):
        raise InputError(
            "The run folder must be empty or hold a run",
            received=f"files but no {CONFIG_FILE}",
            where=model_dir,
            action="Choose another --model_dir",
        )
    model_dir.mkdir(parents=True, exist_ok=True)
    write_json(model_dir / CONFIG_FILE, wanted)
    return wanted


def _resolved(config: RunConfig, data: PreparedDataset) -> dict[str, Any]:
    return {
        **config_to_json(config),
        "data": {
            "folder": str(data.folder.resolve()),
            "name": data.schema.name,
            "schema_sha256": schema_sha256(data),
        },
        "versions": {name: version(name) for name in _PACKAGES},
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _check_same(model_dir: Path, wanted: dict[str, Any]) -> None:
    if (model_dir / METRICS_FILE).is_file():
        raise InputError(
            "The run folder must not hold a finished run",
            received=model_dir,
            action="Evaluate it with --mode=evaluate, or train anew with --overwrite",
        )
    saved = read_config_file(model_dir)
    for part in ("model_name", "model", "trainer", "evaluation", "data"):
        difference = _first_difference(part, saved.get(part), wanted[part])
        if difference:
            raise InputError(
                "A run goes on with the config that it was started with",
                received=difference,
                where=model_dir / CONFIG_FILE,
                action="Use the same settings, another --model_dir, or --overwrite",
            )


def _first_difference(path: str, saved: Any, wanted: Any) -> str | None:
    if isinstance(saved, dict) and isinstance(wanted, dict):
        for key in {**saved, **wanted}:
            found = _first_difference(f"{path}.{key}", saved.get(key), wanted.get(key))
            if found and key != "folder":
                return found
        return None
    return None if saved == wanted else f"{path}={wanted!r}, started with {saved!r}"
