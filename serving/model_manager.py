"""Which models and versions are served: base paths are scanned, the latest version is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from data.errors import InputError
from serving.errors import invalid_argument, not_found
from serving.servable import Servable


@dataclass(frozen=True)
class ModelSpec:
    """What a request asks for, as TF Serving's `ModelSpec`.

    Attributes:
        name: The model's name.
        version: The version, or None for the latest.
        label: The label of a version, or None.
    """

    name: str
    version: int | None = None
    label: str | None = None

    def __str__(self) -> str:
        """Returns the form that TF Serving's errors use."""
        if self.version is None:
            return f"Latest({self.name})"
        return f"Specific({self.name}, {self.version})"


def version_folders(base_path: Path) -> dict[int, Path]:
    """Returns the versions in a base path: folders whose name is a whole number.

    Folders of any other name, such as those that an exporter is still writing, do not count.
    """
    if not base_path.is_dir():
        return {}
    folders = (path for path in base_path.iterdir() if path.is_dir())
    return {int(p.name): p for p in folders if p.name.isascii() and p.name.isdigit()}


class ModelManager:
    """The loaded versions of all served models.

    Args:
        base_paths: Folder with the version folders of each model, by model name.

    Raises:
        InputError: A base path without versions, or a version that cannot be loaded.
    """

    def __init__(self, base_paths: Mapping[str, Path]) -> None:
        self._servables = {name: _load_latest(name, path) for name, path in base_paths.items()}

    def servable(self, spec: ModelSpec) -> Servable:
        """Returns the version that a request asks for.

        Raises:
            ServingError: NOT_FOUND for a model or version that is not served; INVALID_ARGUMENT for
                a label, as no version has one.
        """
        if spec.label is not None:
            raise invalid_argument(f"Unrecognized servable version label: {spec.label}")
        versions = self._servables.get(spec.name, {})
        if not versions or spec.version not in (None, *versions):
            raise not_found(f"Servable not found for request: {spec}")
        return versions[max(versions) if spec.version is None else spec.version]

    def available_versions(self, spec: ModelSpec) -> list[int]:
        """Returns the loaded versions that a status request asks for, newest first.

        Raises:
            ServingError: As `servable`.
        """
        if spec.label is not None:
            raise invalid_argument(f"Unrecognized servable version label: {spec.label}")
        versions = self._servables.get(spec.name, {})
        if not versions:
            raise not_found(f"Could not find any versions of model {spec.name}")
        if spec.version is None:
            return sorted(versions, reverse=True)
        if spec.version not in versions:
            raise not_found(f"Could not find version {spec.version} of model {spec.name}")
        return [spec.version]


def _load_latest(name: str, base_path: Path) -> dict[int, Servable]:
    folders = version_folders(base_path)
    if not folders:
        raise InputError(
            "A model's base path must hold at least one version folder, such as 1",
            received=base_path if base_path.exists() else f"{base_path}, which does not exist",
            where=f"model '{name}'",
            action=f"Export one: python -m serving.export --model_dir=RUN --export_dir={base_path}",
        )
    latest = max(folders)
    return {latest: Servable(name, latest, folders[latest])}
