"""Where a dataset may be written: never over what `data.prepare` did not write itself."""

from __future__ import annotations

import json
import os
from pathlib import Path

from data.atomic import check_writable, clear_leftovers, refuse_existing
from data.errors import InputError
from data.schema import FORMAT, SCHEMA_FILE


def check_output(out: Path, *, overwrite: bool, source: Path | None = None) -> None:
    """Checks that a dataset may be written to the folder `out`.

    Args:
        out: The folder.
        overwrite: Whether a prepared dataset there may be replaced.
        source: What is read; writing must not remove it.

    Raises:
        InputError: `out` holds the source or anything that is no prepared dataset, or exists and
            may not be replaced, or cannot be written.
    """
    if source is not None:
        _check_apart(out.resolve(), source.resolve())
    check_writable(out.absolute().parent)
    clear_leftovers(out)
    if not os.path.lexists(out):
        return
    if not out.is_dir():
        raise InputError(
            "The output must be a folder",
            received=f"{out}, which is something else",
            action="Choose another --out",
        )
    refuse_existing(out, overwrite)
    if any(out.iterdir()) and not _holds_dataset(out):
        raise InputError(
            "Only an empty folder or a prepared dataset may be overwritten",
            received=f"{out}, which holds other files and no {SCHEMA_FILE} of ours",
            action="Choose another --out, or remove the folder yourself",
        )


def _check_apart(out: Path, source: Path) -> None:
    if out == source or out in source.parents:
        raise InputError(
            "The output folder must neither be the source nor hold it",
            received=f"--out={out} and --source={source}",
            action="Choose another --out",
        )


def _holds_dataset(folder: Path) -> bool:
    try:
        value = json.loads((folder / SCHEMA_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(value, dict) and value.get("format") == FORMAT
