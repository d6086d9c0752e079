"""The versions of one model: which are loaded, and how each came and goes."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from serving.server.errors import Code, ServingError, invalid_argument, not_found
from serving.server.loading import LoadOptions, load, wanted_folders
from serving.server.memory import give_back
from serving.server.model_spec import ModelSpec
from serving.server.servable import Servable
from serving.server.settings import ModelConfig
from serving.server.states import State, VersionStatus
from serving.versions import version_folders

LOAD_ATTEMPTS = 6  # one and five more, as TF Serving's --max_num_load_retries
RETRY_SECONDS = 60.0

logger = logging.getLogger(__name__)


class ModelVersions:
    """The versions of one model.

    One thread at a time may load and retire; any may ask meanwhile.

    Args:
        name: The model's name.
        config: Which versions are wanted.
        options: How they are loaded.
    """

    def __init__(self, name: str, config: ModelConfig, options: LoadOptions) -> None:
        self.config = config
        self._name = name
        self._options = options
        self._loaded: dict[int, Servable] = {}
        self._statuses: dict[int, VersionStatus] = {}
        self._labels: dict[str, int] = {}
        self._retired: list[Servable] = []
        # Held, for moments only, to change the four above, and to read them in other threads than
        # the one that loads and retires.
        self._lock = threading.Lock()

    @property
    def is_ready(self) -> bool:
        """Whether a version answers requests."""
        with self._lock:
            return bool(self._loaded)

    @property
    def is_draining(self) -> bool:
        """Whether retired versions still answer their last requests."""
        with self._lock:
            return bool(self._retired)

    @property
    def has_its_labels(self) -> bool:
        """Whether the labels are those of the config, as they are once `set_labels` succeeds."""
        with self._lock:
            return self._labels == dict(self.config.labels)

    def acquire(self, spec: ModelSpec) -> Servable:
        """Returns a version that stays loaded until it is released.

        Raises:
            ServingError: NOT_FOUND for a version that is not loaded; INVALID_ARGUMENT for a label
                that no version has.
        """
        with self._lock:
            spec = self._resolved(spec)
            if not self._loaded or spec.version not in (None, *self._loaded):
                raise not_found(f"Servable not found for request: {spec}")
            servable = self._loaded[max(self._loaded) if spec.version is None else spec.version]
            servable.acquire()
            return servable

    def statuses(self, spec: ModelSpec) -> list[VersionStatus]:
        """Returns the versions that a status request asks for, newest first.

        Raises:
            ServingError: As `acquire`.
        """
        with self._lock:
            spec = self._resolved(spec)
            if spec.version is None:
                return [self._statuses[v] for v in sorted(self._statuses, reverse=True)]
            if spec.version not in self._statuses:
                raise not_found(f"Could not find version {spec.version} of model {self._name}")
            return [self._statuses[spec.version]]

    def _resolved(self, spec: ModelSpec) -> ModelSpec:
        if spec.label is None:
            return spec
        if spec.label not in self._labels:
            raise invalid_argument(f"Unrecognized servable version label: {spec.label}")
        return ModelSpec(spec.name, self._labels[spec.label])

    def set_labels(self, *, before_versions: bool) -> None:
        """Gives versions the labels of the config, in the place of those there were.

        Args:
            before_versions: Whether a label that names no other version yet may name one that is
                not loaded.

        Raises:
            ServingError: FAILED_PRECONDITION for a version that is not loaded; nothing changed.
        """
        with self._lock:
            for label, version in self.config.labels.items():
                may_wait = before_versions and self._labels.get(label, version) == version
                if version not in self._loaded and not may_wait:
                    raise ServingError(
                        Code.FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of model {self._name}, "
                        "which is not currently available for inference",
                    )
            self._labels = dict(self.config.labels)

    def load_first(self) -> None:
        """Loads all wanted versions.

        Raises:
            InputError: There is none, or one cannot be loaded; then none is.
        """
        folders = wanted_folders(self._name, self.config)
        try:
            for version, path in folders.items():
                self._serve(load(self._name, version, path, self._options))
        except Exception:
            self.retire()
            self.close_retired()
            raise

    def update(self) -> None:
        """Loads what is new in the base path, then retires what is no longer wanted."""
        if not self.config.base_path.is_dir():
            return  # not mounted, or about to come back: what is loaded stays
        folders = version_folders(self.config.base_path)
        wanted = self.config.wanted(folders)
        for version in wanted:
            if version not in self._loaded and self._may_try(version):
                self._try(version, folders[version])
        with self._lock:
            retired = {servable.version for servable in self._retired}
            for version in set(self._statuses) - {*wanted, *self._loaded, *retired}:
                del self._statuses[version]
        if not wanted or any(version in self._loaded for version in wanted):
            self.retire([version for version in self._loaded if version not in wanted])

    def retire(self, versions: list[int] | None = None) -> None:
        """Takes versions, or all, out of use; `close_retired` unloads them."""
        with self._lock:
            for version in list(self._loaded) if versions is None else versions:
                self._retired.append(self._loaded.pop(version))
                self._statuses[version] = VersionStatus(version, State.UNLOADING)

    def close_retired(self) -> None:
        """Unloads retired versions whose last request is answered."""
        with self._lock:
            free = [servable for servable in self._retired if not servable.in_use]
        for servable in free:
            servable.close()
            logger.info("Unloaded %s version %d", self._name, servable.version)
        if free:
            give_back()
        with self._lock:
            self._retired = [servable for servable in self._retired if servable not in free]
            for servable in free:
                if servable.version not in self._loaded:  # it may have come back meanwhile
                    self._statuses.pop(servable.version, None)

    def _may_try(self, version: int) -> bool:
        status = self._statuses.get(version)
        if status is None or status.state is not State.END:
            return True
        return status.attempts < LOAD_ATTEMPTS and time.monotonic() >= status.retry_at

    def _try(self, version: int, path: Path) -> None:
        before = self._statuses.get(version)
        attempts = before.attempts + 1 if before else 1
        self._set_status(VersionStatus(version, State.LOADING, attempts=attempts))
        try:
            servable = load(self._name, version, path, self._options)
        except Exception as error:  # whatever it is, it must not be tried again without a pause
            logger.error("Cannot load %s version %d: %s", self._name, version, error)
            retry_at = time.monotonic() + RETRY_SECONDS
            self._set_status(
                VersionStatus(version, State.END, Code.UNKNOWN, str(error), attempts, retry_at)
            )
        else:
            self._serve(servable)

    def _serve(self, servable: Servable) -> None:
        with self._lock:
            self._loaded[servable.version] = servable
            self._statuses[servable.version] = VersionStatus(servable.version, State.AVAILABLE)

    def _set_status(self, status: VersionStatus) -> None:
        with self._lock:
            self._statuses[status.version] = status
