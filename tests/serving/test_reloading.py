"""What goes wrong with one version or label does not keep others from being served."""

from __future__ import annotations

import errno
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
from test_versions import QUICK, answer, managed, publish, states, wait_for, wait_until

from data.errors import InputError
from serving.server import loading, model_versions
from serving.server.errors import Code, ServingError
from serving.server.model_manager import ManagerOptions, ModelManager
from serving.server.model_spec import ModelSpec
from serving.server.model_versions import LOAD_ATTEMPTS, ModelVersions
from serving.server.servable import Servable
from serving.server.settings import ModelConfig
from serving.server.states import State
from serving.versions import version_folders

EAGER = ManagerOptions(poll_seconds=0.05, labels_before_versions=True)


def folders(tmp_path: Path, *names: str) -> list[Path]:
    """Returns new base paths that hold a version 1."""
    paths = [tmp_path / name for name in names]
    for path in paths:
        path.mkdir()
        publish(path, 1)
    return paths


def config_text(base_path: Path, label: str, version: int) -> str:
    return (
        f"model_config_list {{ config {{ name: 'm' base_path: '{base_path}' "
        "model_platform: 'tensorflow' model_version_policy { all {} } "
        f"version_labels {{ key: '{label}' value: {version} }} }} }}"
    )


def test_a_label_of_the_file_is_given_once_its_version_is_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (base,) = folders(tmp_path, "m")
    file = tmp_path / "models.config"
    file.write_text(config_text(base, "stable", 1))
    options = ManagerOptions(0.05, config_file=file, config_poll_seconds=0.05)
    config = ModelConfig(base, latest=0, labels={"stable": 1})
    with managed(options, m=config) as manager:
        file.write_text(config_text(base, "stable", 2))
        wait_until(lambda: "assign label to version 2 of model m" in caplog.text)
        assert answer(manager, ModelSpec("m", label="stable")) == 1
        publish(base, 2)
        wait_until(lambda: answer(manager, ModelSpec("m", label="stable")) == 2)
        assert "Traceback" not in caplog.text
        time.sleep(0.5)
        told = len(caplog.records)
        time.sleep(0.5)
        assert len(caplog.records) == told


def test_a_label_that_cannot_be_given_keeps_no_other_model_from_its_own(tmp_path: Path) -> None:
    paths = dict(zip("abc", folders(tmp_path, "a", "b", "c"), strict=True))
    labels = {"a": {"stable": 8}, "b": {"stable": 1}, "c": {"stable": 9}}
    models = {name: ModelConfig(path, labels=labels[name]) for name, path in paths.items()}
    with managed(a=ModelConfig(paths["a"])) as manager:
        with pytest.raises(ServingError) as raised:
            manager.reload(models)
        assert raised.value.code is Code.FAILED_PRECONDITION
        for name, version in (("a", 8), ("c", 9)):
            assert f"label to version {version} of model {name}, which" in raised.value.message
            assert answer(manager, ModelSpec(name)) == 1
            with pytest.raises(ServingError, match="Unrecognized servable version label"):
                answer(manager, ModelSpec(name, label="stable"))
        assert answer(manager, ModelSpec("b", label="stable")) == 1


def test_only_a_label_of_another_version_must_wait_for_its_version(tmp_path: Path) -> None:
    (base,) = folders(tmp_path, "m")
    waiting = ModelConfig(base, labels={"next": 2})
    with managed(EAGER, m=waiting) as manager:
        manager.reload({"m": ModelConfig(base, labels={"next": 2, "other": 3})})
        with pytest.raises(ServingError, match="label to version 3 of model m, which"):
            manager.reload({"m": ModelConfig(base, labels={"next": 3})})
        publish(base, 2)
        wait_for(manager, 2)
        assert answer(manager, ModelSpec("m", label="next")) == 2


def test_a_base_path_that_cannot_be_read_holds_up_no_other_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    paths = dict(zip("ab", folders(tmp_path, "a", "b"), strict=True))
    is_broken = threading.Event()

    def look(base_path: Path) -> dict[int, Path]:
        if base_path == paths["a"] and is_broken.is_set():
            raise OSError(errno.EIO, "Input/output error")
        return version_folders(base_path)

    monkeypatch.setattr(model_versions, "version_folders", look)
    monkeypatch.setattr(loading, "version_folders", look)
    models = {name: ModelConfig(path) for name, path in paths.items()}
    with managed(**models) as manager:
        is_broken.set()
        publish(paths["a"], 2)
        publish(paths["b"], 2)
        wait_until(lambda: states(manager, "b") == {2: State.AVAILABLE})
        assert "Cannot look for new versions of a; trying again" in caplog.text
        manager.reload({name: ModelConfig(path, latest=2) for name, path in paths.items()})
        assert states(manager, "b").keys() == {1, 2}
        assert answer(manager, ModelSpec("a")) == 1
        is_broken.clear()
        wait_until(lambda: answer(manager, ModelSpec("a")) == 2)
        is_broken.set()
        with pytest.raises(InputError, match=r"base path must be readable.*model 'new'"):
            manager.reload({**models, "new": ModelConfig(paths["a"])})


def test_a_version_that_fails_as_it_likes_is_tried_a_few_times_and_keeps_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, closed = [], []
    close = Servable.close

    def fail(servable: Servable) -> int:
        if servable.version == 1:
            return 0
        tried.append(time.monotonic())
        raise RuntimeError("out of luck")

    def note(servable: Servable) -> None:
        closed.append(servable.version)
        close(servable)

    monkeypatch.setattr(loading, "warm_up", fail)
    monkeypatch.setattr(model_versions, "RETRY_SECONDS", 0.3)
    monkeypatch.setattr(Servable, "close", note)
    (base,) = folders(tmp_path, "m")
    with managed(m=ModelConfig(base)) as manager:
        publish(base, 2)
        wait_until(lambda: states(manager).get(2) == State.END)
        (status,) = manager.statuses(ModelSpec("m", 2))
        assert "out of luck" in status.message
        wait_until(lambda: len(tried) == LOAD_ATTEMPTS)
        time.sleep(1)
        assert len(tried) == len(closed) == LOAD_ATTEMPTS
        assert all(after - before >= 0.3 for before, after in pairwise(tried))
        assert answer(manager, ModelSpec("m")) == 1
    with pytest.raises(InputError, match=r"must be answered\. Received: out of luck"):
        ModelManager({"m": ModelConfig(base)}, QUICK)


def test_a_model_may_go_while_a_request_looks_it_up(tmp_path: Path) -> None:
    class Leaving(dict[str, ModelVersions]):
        """Loses a model as soon as somebody has asked whether it is there."""

        def __contains__(self, name: object) -> bool:
            return isinstance(name, str) and self.pop(name, None) is not None

    (base,) = folders(tmp_path, "m")
    with managed(m=ModelConfig(base)) as manager:
        models = manager._models
        manager._models = Leaving(models)
        assert answer(manager, ModelSpec("m")) == 1
        manager._models = models
