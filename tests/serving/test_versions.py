"""Versions come and go under traffic: no request is lost, none is answered by half a version."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from data.errors import InputError
from serving.server import model_versions
from serving.server.errors import Code, ServingError
from serving.server.model_manager import ManagerOptions, ModelManager
from serving.server.model_spec import ModelSpec
from serving.server.settings import ModelConfig
from serving.server.signature import checked_inputs
from serving.server.states import State
from serving.versions import WARM_UP_FILE

QUICK = ManagerOptions(poll_seconds=0.05)


class Constant(tf.Module):
    """Answers its version, and takes a moment to do so."""

    def __init__(self, version: int, work: int = 0) -> None:
        super().__init__()
        self.version, self.work = tf.Variable(version), work

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def __call__(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the version for each row."""
        done = tf.while_loop(lambda i: i < self.work, lambda i: [i + 1], [0])[0]
        return {"y": tf.ones_like(x, tf.int32) * self.version + 0 * done}


def publish(base_path: Path, version: int, work: int = 0) -> None:
    model = Constant(version, work)
    partial = base_path / f".{version}.partial"
    tf.saved_model.save(model, str(partial), signatures=model.__call__)
    partial.rename(base_path / str(version))


def answer(manager: ModelManager, spec: ModelSpec) -> int:
    with manager.use(spec) as servable:
        signature = servable.signature("")
        feeds = checked_inputs(signature, {"x": np.ones(1, np.float32)})
        return int(servable.run(feeds, [signature.fetches["y"]])[0][0])


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited for 20 s"
        time.sleep(0.01)


def states(manager: ModelManager, name: str = "m") -> dict[int, State]:
    return {status.version: status.state for status in manager.statuses(ModelSpec(name))}


def wait_for(manager: ModelManager, version: int) -> None:
    wait_until(lambda: states(manager).get(version) == State.AVAILABLE)


@contextmanager
def managed(options: ManagerOptions = QUICK, **models: ModelConfig) -> Iterator[ModelManager]:
    manager = ModelManager(models, options)
    try:
        yield manager
    finally:
        manager.close()


def test_a_new_version_takes_over_and_the_old_one_goes(tmp_path: Path) -> None:
    publish(tmp_path, 1)
    with managed(m=ModelConfig(tmp_path)) as manager:
        assert answer(manager, ModelSpec("m")) == 1
        publish(tmp_path, 2)
        wait_until(lambda: states(manager) == {2: State.AVAILABLE})
        assert answer(manager, ModelSpec("m")) == 2
        with pytest.raises(ServingError, match=r"not found for request: Specific\(m, 1\)"):
            answer(manager, ModelSpec("m", 1))
        shutil.rmtree(tmp_path / "2")  # a rollback by hand
        wait_until(lambda: states(manager) == {1: State.AVAILABLE})
        assert answer(manager, ModelSpec("m")) == 1


def test_no_request_is_lost_while_versions_change(tmp_path: Path) -> None:
    publish(tmp_path, 1, work=200)
    found: list[int] = []
    failures: list[Exception] = []
    ended = threading.Event()
    with managed(m=ModelConfig(tmp_path)) as manager:

        def ask() -> None:
            while not ended.is_set():
                try:
                    found.append(answer(manager, ModelSpec("m")))
                except Exception as error:
                    failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for version in range(2, 8):
            publish(tmp_path, version, work=200)
            wait_for(manager, version)
        wait_until(lambda: found[-1] == 7)
        ended.set()
        for thread in threads:
            thread.join()
        wait_until(lambda: states(manager) == {7: State.AVAILABLE})
    assert not failures
    assert set(found) == set(range(1, 8))


def test_a_version_in_use_stays_until_its_last_request(tmp_path: Path) -> None:
    publish(tmp_path, 1)
    with managed(m=ModelConfig(tmp_path)) as manager:
        with manager.use(ModelSpec("m")) as servable:
            publish(tmp_path, 2)
            wait_for(manager, 2)
            assert states(manager)[1] == State.UNLOADING
            signature = servable.signature("")
            feeds = checked_inputs(signature, {"x": np.ones(1, np.float32)})
            assert servable.run(feeds, [signature.fetches["y"]])[0].tolist() == [1]
        wait_until(lambda: states(manager) == {2: State.AVAILABLE})


def test_a_half_copied_version_is_tried_again_and_the_old_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_versions, "RETRY_SECONDS", 0.1)
    base = tmp_path / "base"
    base.mkdir()
    publish(base, 1)
    publish(tmp_path, 2)
    with managed(m=ModelConfig(base)) as manager:
        (base / "2").mkdir()
        shutil.copy(tmp_path / "2" / "saved_model.pb", base / "2")
        wait_until(lambda: states(manager).get(2) == State.END)
        (status,) = manager.statuses(ModelSpec("m", 2))
        assert status.code is Code.UNKNOWN
        assert "must hold a SavedModel that TensorFlow can load" in status.message
        assert answer(manager, ModelSpec("m")) == 1
        shutil.copytree(tmp_path / "2", base / "2", dirs_exist_ok=True)
        wait_until(lambda: states(manager) == {2: State.AVAILABLE})
        assert answer(manager, ModelSpec("m")) == 2


def test_policies_and_labels(tmp_path: Path) -> None:
    for version in (1, 2, 3):
        publish(tmp_path, version)
    labels = {"stable": 1, "canary": 3}
    config = ModelConfig(tmp_path, specific=(1, 3), labels=labels)
    with managed(m=config, every=ModelConfig(tmp_path, latest=0)) as manager:
        assert states(manager).keys() == {1, 3}
        assert states(manager, "every").keys() == {1, 2, 3}
        assert answer(manager, ModelSpec("m", label="stable")) == 1
        assert answer(manager, ModelSpec("m", label="canary")) == 3
        manager.reload({"m": ModelConfig(tmp_path, specific=(1, 3), labels={"stable": 3})})
        assert answer(manager, ModelSpec("m", label="stable")) == 3
        with pytest.raises(ServingError, match="Unrecognized servable version label: canary"):
            answer(manager, ModelSpec("m", label="canary"))
        with pytest.raises(ServingError, match=r"not found for request: Latest\(every\)"):
            answer(manager, ModelSpec("every"))
        with pytest.raises(
            ServingError, match="assign label to version 2 of model m, which"
        ) as found:
            manager.reload({"m": ModelConfig(tmp_path, specific=(1, 3), labels={"stable": 2})})
        assert found.value.code is Code.FAILED_PRECONDITION
        assert answer(manager, ModelSpec("m", label="stable")) == 3


def test_labels_of_versions_to_come_must_be_allowed(tmp_path: Path) -> None:
    publish(tmp_path, 1)
    config = ModelConfig(tmp_path, labels={"next": 2})
    with pytest.raises(InputError, match="--allow_version_labels_for_unavailable_models"):
        ModelManager({"m": config}, QUICK)
    options = ManagerOptions(poll_seconds=0.05, labels_before_versions=True)
    with managed(options, m=config) as manager:
        with pytest.raises(ServingError, match="Servable not found"):
            answer(manager, ModelSpec("m", label="next"))
        publish(tmp_path, 2)
        wait_until(lambda: states(manager) == {2: State.AVAILABLE})
        assert answer(manager, ModelSpec("m", label="next")) == 2


def test_a_missing_base_path_keeps_what_is_loaded(tmp_path: Path) -> None:
    publish(tmp_path, 1)
    with managed(m=ModelConfig(tmp_path)) as manager:
        tmp_path.rename(tmp_path.with_name("away"))
        time.sleep(0.3)
        assert answer(manager, ModelSpec("m")) == 1
        tmp_path.with_name("away").rename(tmp_path)


def test_the_config_file_is_followed(tmp_path: Path) -> None:
    publish(tmp_path, 1)
    file = tmp_path / "models.config"
    entry = "config {{ name: '{0}' base_path: '{1}' model_platform: 'tensorflow' }}"
    file.write_text(f"model_config_list {{ {entry.format('other', tmp_path)} }}")
    options = ManagerOptions(0.05, config_file=file, config_poll_seconds=0.05)
    with managed(options, m=ModelConfig(tmp_path)) as manager:
        wait_until(lambda: manager.is_ready and _serves(manager, "other"))
        assert not _serves(manager, "m")
        file.write_text("broken {")
        time.sleep(0.3)
        assert answer(manager, ModelSpec("other")) == 1


def _serves(manager: ModelManager, name: str) -> bool:
    try:
        return bool(answer(manager, ModelSpec(name)))
    except ServingError:
        return False


def write_warm_up(version: Path, rows: list[float], name: str = "x") -> None:
    log = prediction_log_pb2.PredictionLog()
    tensor = tf.make_tensor_proto(np.array(rows, np.float32))
    log.predict_log.request.inputs[name].CopyFrom(tensor)
    (version / WARM_UP_FILE).parent.mkdir()
    with tf.io.TFRecordWriter(str(version / WARM_UP_FILE)) as writer:
        writer.write(log.SerializeToString())


def test_warm_up_requests_run_first_and_must_be_answered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(tmp_path, 1)
    write_warm_up(tmp_path / "1", [1.0])
    caplog.set_level("INFO")
    with managed(m=ModelConfig(tmp_path)):
        assert "1 warm-up requests" in caplog.text
    publish(tmp_path, 2)
    write_warm_up(tmp_path / "2", [1.0], "z")
    with pytest.raises(InputError, match="warm-up requests of a version must be answered"):
        ModelManager({"m": ModelConfig(tmp_path)}, QUICK)
    load = model_versions.LoadOptions(warm_up=False)
    with managed(ManagerOptions(load=load), m=ModelConfig(tmp_path)) as manager:
        assert answer(manager, ModelSpec("m")) == 2
