"""Loading one version of a model: its graph, then its warm-up requests."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

from data.errors import InputError
from serving.server.servable import GraphThreads, Servable
from serving.server.settings import ModelConfig
from serving.server.warm_up import warm_up
from serving.versions import check_is_base_path, version_folders

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


def load(name: str, version: int, path: Path, options: LoadOptions) -> Servable:
    """Loads a version, and runs its warm-up requests.

    Args:
        name: The model's name.
        version: The model's version.
        path: The version's folder.
        options: How it is loaded.

    Raises:
        InputError: It cannot be loaded, or a warm-up request is not answered.
    """
    started = time.perf_counter()
    servable = Servable(name, version, path, options.threads)
    try:
        requests = warm_up(servable) if options.warm_up else 0
    except Exception as error:  # the requests may be of any program, and fail as they like
        servable.close()
        raise InputError(
            "The warm-up requests of a version must be answered",
            received=error,
            where=path,
            action="Export it again, or pass --enable_model_warmup=false",
        ) from error
    seconds = time.perf_counter() - started
    text = "Loaded %s version %d in %.1f s, %d warm-up requests"
    logger.info(text, name, version, seconds, requests)
    return servable


def wanted_folders(name: str, config: ModelConfig) -> dict[int, Path]:
    """Returns the folders of the versions that a new model is to serve, the newest first.

    Raises:
        InputError: There is none, or the base path cannot be read.
    """
    path = config.base_path
    try:
        folders = version_folders(path)
    except OSError as error:
        raise InputError(
            "A model's base path must be readable",
            received=error,
            where=f"model '{name}'",
            action="Let the server list it and look into its folders",
        ) from error
    if wanted := config.wanted(folders):
        return {version: folders[version] for version in wanted}
    check_is_base_path(path)
    versions = f" of {list(config.specific)}" if config.specific else ", such as 1"
    raise InputError(
        f"A model's base path must hold at least one version folder{versions}",
        received=path if path.exists() else f"{path}, which does not exist",
        where=f"model '{name}'",
        action=f"Export one: python -m serving.export --model_dir=RUN --export_dir={path}",
    )
