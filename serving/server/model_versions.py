"""The versions of one model: which are loaded, and how each came and goes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from data.errors import InputError
from serving.server.errors import Code, ServingError, invalid_argument, not_found
from serving.server.memory import give_back
from serving.server.model_spec import ModelSpec
from serving.server.servable import GraphThreads, Servable
from serving.server.settings import ModelConfig
from serving.server.states import State, VersionStatus
from serving.server.warm_up import warm_up
from serving.versions import check_is_base_path, version_folders

LOAD_ATTEMPTS = 6  # one and five more, as TF Serving's --max_num_load_retries
RETRY_SECONDS = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadOptions:
    """How a version is loaded.

    Attributes:
        warm_up: Whether its warm-up requests are run before it answers others.
        threads: Threads of TensorFlow.
    """

    warm_up: bool = True
    threads: GraphThreads = field(default_factory=GraphThreads)


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
        self._lock = threading.Lock()  # of the four above; held for moments only

    @property
    def is_ready(self) -> bool:
        """Whether a version answers requests."""
        return bool(self._loaded)

    @property
    def is_draining(self) -> bool:
        """Whether retired versions still answer their last requests."""
        return bool(self._retired)

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

    def set_labels(self, labels: Mapping[str, int], *, before_versions: bool) -> None:
        """Gives labels to versions, in the place of those there were.

        Args:
            labels: Versions by label.
            before_versions: Whether a new label may name a version that is not loaded yet.

        Raises:
            ServingError: FAILED_PRECONDITION for a version that is not loaded; nothing changed.
        """
        with self._lock:
            for label, version in labels.items():
                is_new = label not in self._labels and before_versions
                if version not in self._loaded and not is_new:
                    raise ServingError(
                        Code.FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of model {self._name}, "
                        "which is not currently available for inference",
                    )
            self._labels = dict(labels)

    def load_first(self) -> None:
        """Loads all wanted versions.

        Raises:
            InputError: There is none, or one cannot be loaded; then none is.
        """
        folders = version_folders(self.config.base_path)
        wanted = self.config.wanted(folders)
        if not wanted:
            check_is_base_path(self.config.base_path)
            raise _no_versions(self._name, self.config)
        try:
            for version in wanted:
                self._loaded[version] = self._load(version, folders[version])
                self._statuses[version] = VersionStatus(version, State.AVAILABLE)
        except InputError:
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

    def _load(self, version: int, path: Path) -> Servable:
        started = time.perf_counter()
        servable = Servable(self._name, version, path, self._options.threads)
        try:
            requests = warm_up(servable) if self._options.warm_up else 0
        except ServingError as error:
            servable.close()
            raise InputError(
                "The warm-up requests of a version must be answered",
                received=error.message,
                where=path,
                action="Export it again, or pass --enable_model_warmup=false",
            ) from error
        seconds = time.perf_counter() - started
        text = "Loaded %s version %d in %.1f s, %d warm-up requests"
        logger.info(text, self._name, version, seconds, requests)
        return servable

    def _may_try(self, version: int) -> bool:
        status = self._statuses.get(version)
        if status is None or status.state is not State.END:
            return True
        return status.attempts < LOAD_ATTEMPTS and time.monotonic() >= status.retry_at

    def _try(self, version: int, path: Path) -> None:
        before = self._statuses.get(version)
        attempts = before.attempts + 1 if before else 1
        self._statuses[version] = VersionStatus(version, State.LOADING, attempts=attempts)
        try:
            servable = self._load(version, path)
        except InputError as error:
            logger.error("Cannot load %s version %d: %s", self._name, version, error)
            retry_at = time.monotonic() + RETRY_SECONDS
            self._statuses[version] = VersionStatus(
                version, State.END, Code.UNKNOWN, str(error), attempts, retry_at
            )
            return
        with self._lock:
            self._loaded[version] = servable
            self._statuses[version] = VersionStatus(version, State.AVAILABLE)


def _no_versions(name: str, config: ModelConfig) -> InputError:
    path = config.base_path
    wanted = f" of {list(config.specific)}" if config.specific else ", such as 1"
    return InputError(
        f"A model's base path must hold at least one version folder{wanted}",
        received=path if path.exists() else f"{path}, which does not exist",
        where=f"model '{name}'",
        action=f"Export one: python -m serving.export --model_dir=RUN --export_dir={path}",
    )
