"""A server started with the deployment files does what they and docs/deployment.md say.

TF Serving's container cannot be started here: the local server takes its flags and files.
"""

from __future__ import annotations

import re
import runpy
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import tensorflow as tf
from conftest import Exported
from test_deploy import DEPLOY, PAGE, PROBES, REPOSITORY, Files, block

from serving.versions import WARM_UP_FILE, version_folders

FILES = Files(DEPLOY)
NOT_LOCAL = {"grpc_max_threads"}  # flags that the local server lacks
ASKED = re.findall(r"curl -d '(.+)' http://127.0.0.1:8501(\S+)", PAGE)  # bodies and paths


class Echo(tf.Module):
    """Answers the page's requests with the user times the version."""

    def __init__(self, version: int) -> None:
        super().__init__()
        self.version = tf.Variable(version, dtype=tf.int64)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.int64, name="user"),
            tf.TensorSpec([None], tf.int32, name="k"),
        ]
    )
    def __call__(self, user: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns one item a row."""
        return {"items": user * self.version, "k": k}


@dataclass(frozen=True)
class Server:
    """A started server: the folder of its settings, where it answers, and what it serves."""

    config: Path
    grpc: int
    rest: int
    exports: Path

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.rest}{path}"


def free_ports() -> tuple[int, int]:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        return one.getsockname()[1], two.getsockname()[1]


def eventually(ask: Callable[[], Any], wanted: Any) -> None:
    deadline, said = time.monotonic() + 60, None
    while said != wanted:
        assert time.monotonic() < deadline, f"{said!r}, not {wanted!r}"
        with suppress(requests.ConnectionError):
            said = ask()
        time.sleep(0.05)


def health_check() -> list[str]:
    kind, *command = FILES.compose["healthcheck"]["test"]
    assert kind == "CMD"
    return command


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns what compose calls EXPORT, with two versions."""
    folder = tmp_path_factory.mktemp("EXPORT")
    for version in (1, 2):
        tf.saved_model.save(Echo(version), str(folder / FILES.export / str(version)))
    return folder


@pytest.fixture(scope="module")
def server(exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A local server with compose's flags, the base path rewritten by the page's command."""
    config = Path(shutil.copytree(DEPLOY, tmp_path_factory.mktemp("served") / "config"))
    rewrite = block("bash").splitlines()[0].replace("/tmp/", f"{config}/")
    subprocess.run(["bash", "-c", f"EXPORT={exports}; {rewrite}"], cwd=REPOSITORY, check=True)
    running = Server(config, *free_ports(), exports)
    flags = {name: value.replace("/config/", f"{config}/") for name, value in FILES.flags.items()}
    flags |= {"port": str(running.grpc), "rest_api_port": str(running.rest)}
    flags["model_config_file_poll_wait_seconds"] = "1"
    given = [f"--{name}={value}" for name, value in flags.items() if name not in NOT_LOCAL]
    command = [sys.executable, "-m", "serving.local_server", *given]
    with subprocess.Popen(command, cwd=REPOSITORY) as process:
        try:
            eventually(lambda: requests.get(running.url(FILES.status), timeout=20).ok, True)
            yield running
        finally:
            process.terminate()


def test_the_exporter_writes_where_the_server_looks(neumf: Exported, exports: Path) -> None:
    assert version_folders(neumf.path.parent) == {1: neumf.path}
    assert set(version_folders(exports / FILES.export)) == {1, 2}
    assert (neumf.path / WARM_UP_FILE).is_file()


def test_probes_and_health_check_ask_for_the_status(server: Server) -> None:
    for name in PROBES:
        path = FILES.container[f"{name}Probe"]["httpGet"]["path"]
        (version,) = requests.get(server.url(path), timeout=20).json()["model_version_status"]
        assert (version["version"], version["state"]) == ("2", "AVAILABLE")
    check = [part.replace(str(FILES.rest), str(server.rest)) for part in health_check()]
    assert subprocess.run(check, check=False, timeout=20).returncode == 0
    other = [part.replace(FILES.status, "/v1/models/other") for part in check]
    assert subprocess.run(other, check=False, timeout=20).returncode == 1


def test_a_request_is_answered_in_a_batch_and_counted(server: Server) -> None:
    url = server.url(f"{FILES.status}:predict")
    reply = requests.post(url, ASKED[0][0], timeout=20)
    assert reply.json() == {"predictions": [{"items": 10, "k": 10}]}
    metrics = requests.get(server.url(FILES.scrape["metrics_path"]), timeout=20).text
    assert 'batching_session:processed_batch_size_count{model_name="ncf"} 1.0' in metrics
    names = set(re.findall(r":tensorflow:serving:\w+", block("promql")))
    assert len(names) == 2
    assert all(f"\n{name}{{" in metrics for name in names)


def test_the_pages_canary_is_promoted_rolled_back_and_pushed(
    server: Server, tmp_path: Path
) -> None:
    def answers() -> list[Any]:
        replies = [requests.post(server.url(path), body, timeout=20) for body, path in ASKED]
        return [reply.json().get("predictions", [{}])[0].get("items") for reply in replies]

    assert [path.split("/")[-1] for _, path in ASKED] == ["canary:predict", "stable:predict"]
    models = server.config / "models.config"
    canary = block("proto").replace('"/models/', f'"{server.exports}/')
    promoted = canary.replace('"stable" value: 1', '"stable" value: 2')
    for text, wanted in ((canary, [10, 5]), (promoted, [10, 10]), (canary, [10, 5])):
        models.write_text(text)
        eventually(answers, wanted)
    (tmp_path / "pushed.config").write_text(promoted)
    push = block("python").replace("127.0.0.1:8500", f"127.0.0.1:{server.grpc}")
    push = push.replace("serving/deploy/models.config", f"{tmp_path}/pushed.config")
    (tmp_path / "push.py").write_text(push)
    eventually(lambda: (runpy.run_path(f"{tmp_path}/push.py"), answers())[1], [10, 10])
    eventually(answers, [10, 5])  # back to the file at its next look
