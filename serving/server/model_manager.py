"""Which versions of which models are served: loads new ones, unloads old ones, loses no request.

A thread looks at the base paths. A new version answers requests once it is loaded and warm; only
then the old one goes, when its last request is answered.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from data.errors import InputError
from serving.server.errors import Code, ServingError, not_found
from serving.server.loading import LoadOptions
from serving.server.model_spec import ModelSpec
from serving.server.model_versions import ModelVersions
from serving.server.servable import Servable
from serving.server.settings import ModelConfig, read_models
from serving.server.states import VersionStatus

_DRAIN_SECONDS = 0.2  # between looks at whether old versions are out of use

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ManagerOptions:
    """When versions are loaded, and how.

    Attributes:
        poll_seconds: Seconds between looks at the base paths; 0 for one look.
        labels_before_versions: Whether a new label may name a version that is not loaded yet.
        config_file: File of the models, to look for changes.
        config_poll_seconds: Seconds between looks at it; 0 for none.
        load: How a version is loaded.
    """

    poll_seconds: float = 1.0
    labels_before_versions: bool = False
    config_file: Path | None = None
    config_poll_seconds: float = 0.0
    load: LoadOptions = field(default_factory=LoadOptions)


class ModelManager:
    """The loaded versions of all served models.

    Args:
        models: What is served, by model name.
        options: When versions are loaded, and how.

    Raises:
        InputError: A base path without versions, a version that cannot be loaded, or a label of a
            version that is not.
    """

    def __init__(
        self, models: Mapping[str, ModelConfig], options: ManagerOptions | None = None
    ) -> None:
        self._options = options or ManagerOptions()
        self._models: dict[str, ModelVersions] = {}
        self._dropped: list[ModelVersions] = []
        self._changing = threading.Lock()  # held while versions are loaded and unloaded
        self._closing = threading.Event()
        try:
            self.reload(models)
        except ServingError as error:
            self._unload_all()
            raise InputError(
                error.message,
                action="Pass --allow_version_labels_for_unavailable_models, or drop the label",
            ) from error
        self._thread = threading.Thread(target=self._poll, name="versions", daemon=True)
        self._thread.start()

    @contextmanager
    def use(self, spec: ModelSpec) -> Iterator[Servable]:
        """Holds the version that a request asks for, so that it is not unloaded meanwhile.

        Raises:
            ServingError: NOT_FOUND for a model or version that is not served; INVALID_ARGUMENT for
                a label that no version has.
        """
        servable = self._versions(spec, f"Servable not found for request: {spec}").acquire(spec)
        try:
            yield servable
        finally:
            servable.release()

    def statuses(self, spec: ModelSpec) -> list[VersionStatus]:
        """Returns the versions that a status request asks for, newest first.

        Raises:
            ServingError: As `use`.
        """
        message = f"Could not find any versions of model {spec.name}"
        return self._versions(spec, message).statuses(spec)

    def _versions(self, spec: ModelSpec, message: str) -> ModelVersions:
        # Once, as the dict is replaced by another thread.
        if (model := self._models.get(spec.name)) is None:
            raise not_found(message)
        return model

    @property
    def is_ready(self) -> bool:
        """Whether every model has a version that answers requests."""
        return all(model.is_ready for model in self._models.values())

    def reload(self, models: Mapping[str, ModelConfig]) -> None:
        """Serves these models, and no others; returns once they answer requests.

        Raises:
            InputError: A new model has no version that can be loaded; nothing has changed.
            ServingError: FAILED_PRECONDITION for labels of versions that are not loaded; the
                models have changed, and the labels of the others.
        """
        with self._changing:
            added = {
                name: ModelVersions(name, config, self._options.load)
                for name, config in models.items()
                if name not in self._models
            }
            self._load_all(list(added.values()))
            for name in models.keys() & self._models.keys():
                self._models[name].config = models[name]
                _update(name, self._models[name])
            before = self._models
            # A new dict, as requests read the old one meanwhile.
            self._models = {name: added.get(name) or before[name] for name in models}
            self._dropped += [model for name, model in before.items() if name not in models]
            for model in self._dropped:
                model.retire()
            self._set_labels()

    def _set_labels(self) -> None:
        failures = []
        for model in self._models.values():
            try:
                model.set_labels(before_versions=self._options.labels_before_versions)
            except ServingError as error:
                failures.append(error.message)
        if failures:
            raise ServingError(Code.FAILED_PRECONDITION, "; ".join(failures))

    @staticmethod
    def _load_all(added: list[ModelVersions]) -> None:
        try:
            for model in added:
                model.load_first()
        except Exception:
            for model in added:
                model.retire()
                model.close_retired()
            raise

    def _poll(self) -> None:
        options = self._options
        looks = [_Look(options.poll_seconds, self._update)]
        if options.config_file is not None:
            looks.append(_Look(options.config_poll_seconds, self._follow_file))
        while not self._closing.wait(_DRAIN_SECONDS):
            for work in (*(look.if_due for look in looks), self._close_retired):
                try:
                    work()
                except Exception:  # a full disk must not end the reloading
                    logger.exception("Cannot change what is served; trying again")

    def _update(self) -> None:
        with self._changing:
            for name, model in self._models.items():
                _update(name, model)

    def _follow_file(self) -> None:
        assert self._options.config_file is not None
        try:
            self._reload_file(self._options.config_file)
        except (InputError, ServingError) as error:
            logger.error("Cannot follow %s; trying again: %s", self._options.config_file, error)

    def _reload_file(self, file: Path) -> None:
        models = read_models(file)
        served = {name: model.config for name, model in self._models.items()}
        # A label is tried again at each look, as its version may have been loaded meanwhile.
        if models != served or not all(m.has_its_labels for m in self._models.values()):
            self.reload(models)
            logger.info("Serving what %s says now", file)

    def _close_retired(self) -> None:
        with self._changing:
            for model in [*self._models.values(), *self._dropped]:
                model.close_retired()
            self._dropped = [model for model in self._dropped if model.is_draining]

    def close(self) -> None:
        """Unloads everything; no request may be under way."""
        self._closing.set()
        self._thread.join()
        self._unload_all()

    def _unload_all(self) -> None:
        for model in self._models.values():
            model.retire()
        self._close_retired()


def _update(name: str, model: ModelVersions) -> None:
    """Updates a model, or says why it cannot be: the others go on."""
    try:
        model.update()
    except Exception:  # such as an unreadable folder
        logger.exception("Cannot look for new versions of %s; trying again", name)


class _Look:
    """Does something again and again, so many seconds apart; never if they are 0."""

    def __init__(self, seconds: float, work: Callable[[], None]) -> None:
        self._seconds = seconds
        self._work = work
        self._last = time.monotonic()

    def if_due(self) -> None:
        """Does it if it is time."""
        if self._seconds and time.monotonic() - self._last >= self._seconds:
            self._last = time.monotonic()
            self._work()
