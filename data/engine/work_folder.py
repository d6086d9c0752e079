"""Where unfinished work is kept: beside the output, under a name that tells what it is for.

An interrupted preparation leaves its parts there; the same command finds them. What was made from
other files, another spec or other options has another name; it is removed, unless a process is at
it.
"""

from __future__ import annotations

import dataclasses
import fcntl
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.atomic import held
from data.engine.plain_json import plain
from data.engine.source_files import SourceFile
from data.errors import InputError
from data.schema import TOOL
from data.spec.table_spec import TableSpec


def work_key(spec: TableSpec, files: Sequence[SourceFile], options: dict[str, Any]) -> str:
    """Returns a name for what a preparation is made from."""
    about = {
        "spec": dataclasses.asdict(spec),
        "files": [(file.name, file.size, file.changed) for file in files],
        "options": options,
        "tool": TOOL,
    }
    text = json.dumps(about, sort_keys=True, default=plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def work_folder(out: Path, key: str) -> Iterator[Path]:
    """Yields the folder of one preparation, and removes it when the block ends without an error.

    Args:
        out: The dataset's folder.
        key: What the preparation is made from.

    Raises:
        InputError: Another process works there.
    """
    folder = out.with_name(f".{out.name}.work-{key}")
    for left in out.parent.glob(f".{glob.escape(out.name)}.work-*"):
        if left != folder:
            with held(left) as is_free:
                if is_free:
                    shutil.rmtree(left, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                "One process at a time may prepare a dataset",
                received="another one at work",
                where=folder,
                action="Wait for it, or choose another --out",
            ) from error
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
