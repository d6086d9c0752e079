"""Publishing a version: written, checked in a clean process, and only then there to be seen.

Nothing here loads TensorFlow: the process that publishes stays small beside the one that writes and
the one that checks, each of which holds the tables once.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from data.atomic import atomic_folder, write_json
from data.command_line import EXIT_BAD_INPUT
from data.errors import InputError
from serving.model_card import ModelCard, write_card
from serving.precision import TOLERANCES, Precision
from serving.versions import MAX_VERSION, check_is_base_path, version_folders

SAMPLE_FILE = "sample.npz"
WRITTEN_FILE = "written.json"
_REPOSITORY = Path(__file__).parents[1]

# Writes the SavedModel and its warm-up requests into the first folder; into the second SAMPLE_FILE,
# for the check, and WRITTEN_FILE, which holds `Written`.
Write = Callable[[Path, Path], None]


class WriterError(Exception):
    """The process that writes has ended with an error that it has printed itself."""


@dataclass(frozen=True)
class ExportOptions:
    """How a run is exported.

    Attributes:
        version: The version; by default the next.
        is_verified: Whether a clean process must give the trainer's scores first.
        precision: Of the embedding tables, in which scores are compared.
    """

    version: int | None = None
    is_verified: bool = True
    precision: Precision = "float32"

    @property
    def tolerance(self) -> float | None:
        """Within which a clean process must give the trainer's scores; None where unchecked."""
        return TOLERANCES[self.precision] if self.is_verified else None


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        card: What the model card says.
        example: The flags with which `serving.client` asks for a user or row of the data.
    """

    card: ModelCard
    example: str

    def save(self, path: Path) -> None:
        """Writes a JSON file."""
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> Written:
        """Reads what `save` wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(ModelCard(**content["card"]), content["example"])


def publish(export_dir: Path, options: ExportOptions, write: Write) -> tuple[Path, Written]:
    """Has a version written, checks it, and renames it into place.

    Args:
        export_dir: Folder that holds the version folders.
        options: How to export.
        write: Writes the version.

    Returns:
        The version's folder, and what was written.

    Raises:
        InputError: The version exists or is none that can be served, `export_dir` is itself one, or
            the export does not give the trainer's scores.
    """
    check_is_base_path(export_dir)
    target = _new_version(export_dir, options.version)
    is_new = not export_dir.exists()
    try:
        with atomic_folder(target) as partial, tempfile.TemporaryDirectory() as scratch:
            write(partial, Path(scratch))
            written = Written.load(Path(scratch, WRITTEN_FILE))
            if options.tolerance is not None:
                _verify(Path(scratch, SAMPLE_FILE), partial, options.tolerance)
            write_card(written.card, partial)
    except BaseException:
        if is_new:
            with suppress(OSError):  # such as that another export has published there
                export_dir.rmdir()
        raise
    return target, written


def write_in_its_own_process(
    model_dir: Path, data_dir: Path | None, options: ExportOptions
) -> Write:
    """Returns what writes a run's version in a process that has ended before the check.

    TensorFlow's allocator keeps what it once had, so that the check would hold the tables a second
    time beside a process that had written them.

    Raises:
        WriterError: The writer has printed what is wrong.
    """

    def write(folder: Path, scratch: Path) -> None:
        arguments = [model_dir, data_dir or "", folder, scratch, options.precision]
        done = subprocess.run(
            [*_python("serving.writing"), *map(_absolute, arguments), str(options.tolerance or "")],
            cwd=_REPOSITORY,
            check=False,
        )
        if done.returncode == EXIT_BAD_INPUT:
            raise WriterError
        if done.returncode:
            raise InputError(
                "The process that writes the export must end well",
                received=f"exit code {done.returncode}",
                where=folder,
                action="See above; -9 is most often a lack of memory. Nothing was published",
            )

    return write


def _absolute(argument: object) -> str:
    return str(argument.resolve()) if isinstance(argument, Path) else str(argument)


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]


def _new_version(export_dir: Path, wanted: int | None) -> Path:
    published = version_folders(export_dir)
    number = wanted or max(published, default=0) + 1
    if number > MAX_VERSION:
        raise InputError(
            f"A version must be at most {MAX_VERSION}, as servers count them in int64",
            received=number,
            where=export_dir,
            action="Pass --version, or take another --export_dir",
        )
    target = published.get(number, export_dir / str(number))
    if target.exists():
        raise InputError(
            "An export never changes a published version",
            received=target,
            action="Leave --version out to take the next",
        )
    return target


def _verify(sample: Path, folder: Path, tolerance: float) -> None:
    done = subprocess.run(
        [*_python("serving.verify"), str(folder.resolve()), str(sample), str(tolerance)],
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode < 0:
        raise InputError(
            "The process that checks the export must come to its end",
            received=f"python -m serving.verify killed by {signal.Signals(-done.returncode).name}",
            where=folder,
            action="Nothing was published. If memory ran out (dmesg | tail), free some, or export "
            "on a larger machine",
        )
    if done.returncode:
        raise InputError(
            "The export must give the trainer's scores in a clean process",
            received=done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no answer",
            where=folder,
            action="Nothing was published; please report this with the run's config.json",
        )
