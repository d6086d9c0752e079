"""Version folders: where an exporter writes and a server looks."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path

from data.errors import InputError

WARM_UP_FILE = Path("assets.extra", "tf_serving_warmup_requests")  # in a version; TF Serving's
TITLES_FILE = Path("assets.extra", "titles.tsv")  # in a version, where the dataset has titles
MAX_VERSION = 2**63 - 1  # TF Serving counts versions in int64

_GRAPH_FILES = ("saved_model.pb", "saved_model.pbtxt")

logger = logging.getLogger(__name__)


def version_folders(base_path: Path) -> dict[int, Path]:
    """Returns the versions in a base path: folders whose name is a whole number, in int64.

    Folders of any other name, such as those that an exporter is still writing, do not count. Of two
    names of one number, such as 007 and 7, the last by text counts, as in TF Serving.
    """
    if not base_path.is_dir():
        return {}
    found: dict[int, Path] = {}
    for path in sorted(base_path.iterdir()):
        if not (path.name.isascii() and path.name.isdigit() and path.is_dir()):
            continue
        version = int(path.name)
        if version > MAX_VERSION:
            continue
        if version in found:
            _warn_of_twins(version, path, found[version])
        found[version] = path
    return found


@lru_cache(maxsize=1000)  # once, as a server looks every second
def _warn_of_twins(version: int, used: Path, ignored: Path) -> None:
    logger.warning("Version %d is taken from %s; %s is ignored", version, used, ignored)


def check_is_base_path(path: Path) -> None:
    """Raises InputError where `path` is a version's own folder, so that its parent is meant."""
    if any((path / name).is_file() for name in _GRAPH_FILES):
        raise InputError(
            "A model's base path holds version folders",
            received="a version, with its graph",
            where=path,
            action=f"Give the folder that it is in: {path.absolute().parent}",
        )


def find_version(base_path: Path, version: int | None = None) -> Path:
    """Returns the folder of a version, the latest where none is named.

    Raises:
        InputError: There is no such version.
    """
    folders = version_folders(base_path)
    check_is_base_path(base_path)
    if not folders or version not in (None, *folders):
        raise InputError(
            "The export must hold the version",
            received=f"versions {sorted(folders)}" if folders else "no version",
            where=base_path,
            action="Export one: python -m serving.export --model_dir=RUN --export_dir=EXPORT",
        )
    return folders[max(folders) if version is None else version]
