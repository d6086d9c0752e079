"""Opening a run folder: a new one, or one to go on with."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from configs.base import RunConfig
from configs.results import METRICS_FILE
from configs.runs import CHECKPOINTS, CONFIG_FILE, config_to_json, read_config_file
from data.atomic import check_writable, write_json
from data.dataset import PreparedDataset
from data.errors import InputError

LOCK_FILE = ".lock"
_LOCKS: list[int] = []  # descriptors that hold them
_PACKAGES = ("tensorflow", "tf-keras", "numpy")


def open_run_folder(
    model_dir: Path, config: RunConfig, data: PreparedDataset, overwrite: bool
) -> dict[str, Any]:
    """Writes `config.json` into a new run folder, or checks that of a run to go on with.

    The folder stays locked until this process ends, or `unlock_run_folder`. `overwrite` deletes a
    run that cannot be gone on with; one that can is never deleted, so that the same command goes
    on where it stopped. A run that ended before its first checkpoint, as one that was refused,
    gives way to any other.

    Returns:
        The content of `config.json`.

    Raises:
        InputError: The folder holds a finished run, one with another config or dataset, one that
            is training now, or something else; or nothing can be written there.
    """
    wanted = _resolved(config, data)
    _check_is_run(model_dir)
    check_run_writable(model_dir)
    model_dir.mkdir(parents=True, exist_ok=True)
    _lock(model_dir)
    if (model_dir / CONFIG_FILE).is_file():
        try:
            _check_same(model_dir, wanted)
            return wanted
        except InputError:
            if not overwrite and _has_results(model_dir):
                raise
            _empty(model_dir)
    write_json(model_dir / CONFIG_FILE, wanted)
    return wanted


def check_run_writable(model_dir: Path) -> None:
    """Checks that a run can be written, now and not when its first checkpoint is due.

    Raises:
        InputError: It cannot, as on a read-only disk.
    """
    check_writable(model_dir)
    if (model_dir / CHECKPOINTS).is_dir():  # perhaps on another disk
        check_writable(model_dir / CHECKPOINTS)


def _check_is_run(model_dir: Path) -> None:
    fault = None
    if model_dir.exists() and not model_dir.is_dir():
        fault = "a file"
    elif model_dir.exists() and not (model_dir / CONFIG_FILE).is_file():
        # Hidden files are what a process leaves that was killed before it wrote the config.
        others = [path.name for path in model_dir.iterdir() if not path.name.startswith(".")]
        fault = f"{min(others)}, but no {CONFIG_FILE}" if others else None
    if fault:
        raise InputError(
            "The run folder must be empty or hold a run",
            received=fault,
            where=model_dir,
            action="Choose another --model_dir",
        )


def _lock(model_dir: Path) -> None:
    """Keeps other processes out until this one ends, however it ends."""
    descriptor = os.open(model_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise InputError(
            "Only one process may train in a run folder",
            received="another process is training",
            where=model_dir,
            action="Wait for it, or choose another --model_dir",
        ) from error
    _LOCKS.append(descriptor)


def is_trained_in(model_dir: Path) -> bool:
    """Returns whether a process has the run folder open, as far as the disk can tell."""
    try:
        descriptor = os.open(model_dir / LOCK_FILE, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def unlock_run_folder() -> None:
    """Lets another process train in the folders that this one has opened."""
    while _LOCKS:
        os.close(_LOCKS.pop())


def _has_results(model_dir: Path) -> bool:
    is_finished = (model_dir / METRICS_FILE).is_file()
    return is_finished or any((model_dir / CHECKPOINTS).glob("*"))


def _empty(model_dir: Path) -> None:
    (model_dir / CONFIG_FILE).unlink()  # first: what is left is then no run
    for path in model_dir.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK_FILE:
            path.unlink()


def _resolved(config: RunConfig, data: PreparedDataset) -> dict[str, Any]:
    return {
        **config_to_json(config),
        "data": {
            "folder": str(data.folder.resolve()),
            "name": data.schema.name,
            "schema_sha256": data.schema_sha256,
        },
        "versions": {name: version(name) for name in _PACKAGES},
        "command": command_line(),
    }


def command_line() -> str:
    """Returns the command that this process was started with."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _check_same(model_dir: Path, wanted: dict[str, Any]) -> None:
    if (model_dir / METRICS_FILE).is_file():
        raise InputError(
            "The run folder must not hold a finished run",
            received=model_dir,
            action="Evaluate it with --mode=evaluate; train on from it in another --model_dir with "
            f"--warm_start={model_dir}; or train anew with --overwrite",
        )
    saved = read_config_file(model_dir)
    for part in ("model_name", "model", "trainer", "evaluation", "data"):
        difference = first_difference(part, saved.get(part), wanted[part])
        if difference:
            raise InputError(
                "A run goes on with the config that it was started with",
                received=difference,
                where=model_dir / CONFIG_FILE,
                action="Use the same settings, another --model_dir, or --overwrite",
            )


def first_difference(path: str, saved: Any, wanted: Any) -> str | None:
    """Returns where two JSON values differ, as `path=wanted, started with saved`, or None."""
    if isinstance(saved, dict) and isinstance(wanted, dict):
        for key in {**saved, **wanted}:
            found = first_difference(f"{path}.{key}", saved.get(key), wanted.get(key))
            if found and key != "folder":
                return found
        return None
    return None if saved == wanted else f"{path}={wanted!r}, started with {saved!r}"
