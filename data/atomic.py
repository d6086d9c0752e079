"""Files and folders that are either complete or absent.

A folder is written under another name beside its place and then renamed. Its writer holds a lock
on it until then, so that what a killed process left can be told from what is being written: a
process id could not, as containers that share a disk number their processes alike.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from data.errors import InputError

_PARTIAL, _REPLACED = "partial", "replaced"


def fsync_path(path: Path) -> None:
    """Flushes one file's or folder's content to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path`: a reader sees the old content or the new, never a part."""
    partial = _beside(path, _PARTIAL)
    try:
        with partial.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    fsync_path(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON to `path` atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yields an empty folder that becomes `path` when the block ends without an exception.

    Raises:
        InputError: `path` exists and `overwrite` is false, or nothing can be written there.
    """
    clear_leftovers(path)
    refuse_existing(path, overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial, lock = _locked_partial(path)
    except OSError as error:
        raise _not_writable(path, error) from error
    try:
        yield partial
        _fsync_tree(partial)
        refuse_existing(path, overwrite)
        _publish(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def check_writable(folder: Path) -> None:
    """Checks by writing a file that a folder, or the parent to make it in, can be written to.

    Raises:
        InputError: It cannot, as on a read-only or full disk.
    """
    whole = folder.absolute()
    present = next(path for path in (whole, *whole.parents) if os.path.lexists(path))
    try:
        # Without a name where the file system can: a process killed here leaves nothing.
        with tempfile.TemporaryFile(dir=present, buffering=0) as probe:
            probe.write(b"1")
    except OSError as error:
        raise _not_writable(folder, error) from error


def _not_writable(folder: Path, error: OSError) -> InputError:
    return InputError(
        "The output must be a folder that can be written",
        received=error,
        where=folder,
        action="Choose another folder, or mend its permissions or its disk",
    )


def clear_leftovers(path: Path) -> None:
    """Removes what killed processes left beside `path`, or puts back what they were replacing."""
    for left in _all_beside(path, _REPLACED):
        with held(left) as is_ours:
            if not is_ours:
                continue
            if os.path.lexists(path):
                _discard(left, path)
            else:
                left.rename(path)
    for left in _all_beside(path, _PARTIAL):
        with held(left) as is_ours:
            if is_ours:
                shutil.rmtree(left, ignore_errors=True)


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raises InputError where `path` exists and must not be overwritten."""
    if os.path.lexists(path) and not overwrite:
        raise InputError(
            "The output folder must not exist yet",
            received=path,
            action="Choose another folder or pass --overwrite to replace it",
        )


def _beside(path: Path, role: str) -> Path:
    return path.with_name(f".{path.name}.{role}-{secrets.token_hex(8)}")


def _all_beside(path: Path, role: str) -> list[Path]:
    return sorted(path.parent.glob(f".{glob.escape(path.name)}.{role}-*"))


def _locked_partial(path: Path) -> tuple[Path, int]:
    """Returns a new folder beside `path`, and the descriptor that holds its lock."""
    while True:
        # Not tempfile.mkdtemp, which would make the published folder its owner's alone.
        partial = _beside(path, _PARTIAL)
        partial.mkdir()
        # Another process may take the folder for abandoned before the lock is on it.
        with suppress(FileNotFoundError, BlockingIOError):
            return partial, _lock(partial)


def _lock(folder: Path) -> int:
    """Locks a folder for as long as the returned descriptor is open.

    Raises:
        BlockingIOError: Another process holds the lock.
        FileNotFoundError: The folder is gone.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(descriptor), folder.stat()):
            raise FileNotFoundError(folder)
    except OSError as error:
        # Some network disks know no locks: no process can then take the folder for abandoned.
        if error.errno not in (errno.EBADF, errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            os.close(descriptor)
            raise
    return descriptor


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Locks a folder, and yields whether that worked: no process then works on it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        yield _free(descriptor, folder)
    finally:
        os.close(descriptor)


def _free(descriptor: int, folder: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return folder.is_dir() and os.path.samestat(os.fstat(descriptor), folder.stat())
    except OSError:
        return False


def _publish(partial: Path, path: Path) -> None:
    if not os.path.lexists(path):
        partial.rename(path)
        fsync_path(path.parent)
        return
    replaced = _beside(path, _REPLACED)
    with held(path):  # locked: no process puts the old folder back between the renames
        path.rename(replaced)
        try:
            partial.rename(path)
        except BaseException:
            replaced.rename(path)
            raise
        fsync_path(path.parent)
        _discard(replaced, path)


def _discard(replaced: Path, path: Path) -> None:
    """Removes a replaced folder; half-removed, it goes by a name that is never put back."""
    doomed = _beside(path, _PARTIAL)
    replaced.rename(doomed)
    if doomed.is_symlink():
        doomed.unlink()
    else:
        shutil.rmtree(doomed, ignore_errors=True)


def _fsync_tree(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in names:
            fsync_path(Path(root, name))
        fsync_path(Path(root))
