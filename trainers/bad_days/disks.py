"""Disks that are full, and folders that cannot be written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.bad_days.kills import check_same_files
from trainers.bad_days.outcome import Fault, NotRunError, Outcome, check
from trainers.bad_days.workshop import Workshop, checkpoints, newest

_DISK_BYTES = 8 << 20
_FREE_BYTES = 100 << 10  # less than a checkpoint takes, and than the data
_FILE_BYTES = 10 << 10  # less than a table takes


@dataclass
class SmallDisk:
    """A disk with hardly any room left.

    Attributes:
        folder: Where it is.
        how: What it is, for people.
        options: For `subprocess.Popen`: what makes it small where it is no disk of its own.
        ballast: What fills it.
    """

    folder: Path
    how: str
    options: dict[str, Any]
    ballast: Path | None = None

    def fill(self) -> None:
        """Leaves hardly any room."""
        if self.ballast is None:
            return
        disk = os.statvfs(self.folder)
        size = disk.f_bavail * disk.f_frsize - _FREE_BYTES
        with self.ballast.open("wb") as file:
            file.write(b"\1" * size)

    def make_room(self) -> None:
        """Takes the ballast away."""
        self.options = {}
        if self.ballast is not None:
            self.ballast.unlink()


@contextmanager
def _small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Yields a disk of a few MB where we may mount one, else a limit of the files' size."""
    folder.mkdir()
    size = f"size={_DISK_BYTES}"
    if os.geteuid() == 0 and _mount("-t", "tmpfs", "-o", size, "tmpfs", str(folder)):
        try:
            yield SmallDisk(folder, "tmpfs of 8 MiB", {}, folder / "ballast")
        finally:
            _unmount(folder)
    else:
        yield SmallDisk(folder, "RLIMIT_FSIZE of 10 KiB", {"preexec_fn": _limit_files})


def _limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


def _unmount(folder: Path) -> None:
    # Lazily, as a command that went wrong may still be at work there.
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=True)


def _full_in_checkpoint(workshop: Workshop) -> Outcome:
    with _small_disk(workshop.folder / "small") as disk:
        run = workshop.copy(workshop.stopped("to-fill"), disk.folder / "run")
        before, step = checkpoints(run), newest(run)
        disk.fill()
        done = workshop.run(workshop.training(run), **disk.options)
        said = done.refused("A checkpoint must be written", f"step-{step:09d}, which is whole")
        check(checkpoints(run) == before, "the checkpoints are others than before")
        disk.make_room()
        workshop.goes_on(run).line_with(f"Going on from step {step} ")
    return Outcome(
        said, f"nothing: step {step} was kept, and the end is equal bit for bit", disk.how
    )


def _full_in_prepare(workshop: Workshop) -> Outcome:
    with _small_disk(workshop.folder / "small-prepare") as disk:
        out = disk.folder / "data"
        disk.fill()
        said = workshop.run(workshop.preparation(out), **disk.options).refused("room on its disk")
        left = [path.name for path in disk.folder.iterdir() if path != disk.ballast]
        check(not left, f"left behind: {left}")
        disk.make_room()
        workshop.run(workshop.preparation(out)).succeeded()
        check_same_files(out, workshop.data)
    return Outcome(said, "nothing: no part of a dataset; the same command makes it", disk.how)


@contextmanager
def _read_only(folder: Path) -> Iterator[str]:
    """Makes a folder read-only for the block; yields how.

    Raises:
        NotRunError: We are root, whom permissions do not bind, and may not mount.
    """
    folder.mkdir(exist_ok=True)
    if os.geteuid():
        mode = folder.stat().st_mode
        folder.chmod(0o555)
        try:
            yield "chmod 555"
        finally:
            folder.chmod(mode)
        return
    if not _mount("--bind", str(folder), str(folder)):
        raise NotRunError("permissions do not bind root, and it may not mount here")
    try:
        if not _mount("-o", "remount,ro,bind", str(folder)):
            raise NotRunError("it may not mount read-only here")
        yield "read-only mount"
    finally:
        _unmount(folder)


def _read_only_model_dir(workshop: Workshop) -> Outcome:
    run = workshop.stopped("read-only-run")
    step = newest(run)
    with _read_only(run) as how:
        done = workshop.run(workshop.training(run))
    said = done.refused("must be a folder that can be written")
    check("epoch 1" not in done.output, "it trained before it noticed")
    workshop.goes_on(run).line_with(f"Going on from step {step} ")
    return Outcome(said, "nothing: refused before anything was trained", how)


def _read_only_data_dir(workshop: Workshop) -> Outcome:
    data = workshop.copy(workshop.data, workshop.folder / "read-only-data")
    run = workshop.stopped("on-read-only-data")
    with _read_only(data) as how:
        said = workshop.goes_on(run, data).line_with("Going on from step")
    return Outcome(said, "nothing: training only reads it", how)


def _refused_at_once(
    command: Callable[[Workshop, Path], list[str]],
) -> Callable[[Workshop], Outcome]:
    def inject(workshop: Workshop) -> Outcome:
        folder = workshop.folder / f"read-only-{command.__name__.strip('_')}"
        given = command(workshop, folder)
        with _read_only(folder) as how:
            said = workshop.run(given).refused("must be a folder that can be written")
        workshop.run(given).succeeded()
        return Outcome(said, "nothing: refused before any work", how)

    return inject


def _export(workshop: Workshop, folder: Path) -> list[str]:
    run = workshop.undisturbed()
    module = [sys.executable, "-m", "serving.export"]
    return [*module, f"--model_dir={run}", f"--export_dir={folder}"]


def _prepare(workshop: Workshop, folder: Path) -> list[str]:
    return workshop.preparation(folder / "data")


FAULTS: tuple[Fault, ...] = (
    Fault("full_checkpoint", "disk full while a checkpoint is written", _full_in_checkpoint),
    Fault("full_prepare", "disk full while data is prepared", _full_in_prepare),
    Fault("read_only_model_dir", "--model_dir is read-only", _read_only_model_dir),
    Fault("read_only_data_dir", "--data_dir is read-only", _read_only_data_dir),
    Fault("read_only_out", "--out of data.prepare is read-only", _refused_at_once(_prepare)),
    Fault("read_only_export_dir", "--export_dir is read-only", _refused_at_once(_export)),
)
