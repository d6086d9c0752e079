"""The compose files of examples/: true to their schema, and their script does each step once.

The schema is the compose specification's, of `check-jsonschema`. test_commands.py checks flags.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.commands import compose_script
from tests.docs.pages import REPOSITORY

EXAMPLES = REPOSITORY / "examples"
FILES = ("compose.yaml", "compose.gpu.yaml")
SHARED = "/shared"
# Stands in for Python: writes down what it is asked, and the file or folder that tells of success.
FAKE_PYTHON = """#!/bin/bash
echo "$2" >> asked.txt
[ "$2" = "$FAILS" ] && exit 1
case "$2" in
  data.prepare) mkdir -p shared/DATA ;;
  trainers.run) mkdir -p shared/RUN; touch shared/RUN/metrics.json ;;
  serving.export) mkdir -p shared/EXPORT/ncf/1 ;;
esac
"""
STEPS = ["data.prepare", "trainers.run", "serving.export"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    return tmp_path


def services(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLES / name).read_text())["services"]
    return found


def asked(folder: Path, fails: str = "") -> list[str]:
    """Runs the script of training, and returns the commands that it gave."""
    (folder / "asked.txt").write_text("")
    script = compose_script().replace(SHARED, "shared")
    environment = {"PATH": "/usr/bin:/bin", "FAILS": fails}
    done = subprocess.run(["bash", "-euc", script], cwd=folder, env=environment, check=False)
    assert (done.returncode != 0) == bool(fails)
    return (folder / "asked.txt").read_text().split()


def test_they_keep_to_the_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    paths = [str(EXAMPLES / name) for name in FILES]
    done = subprocess.run([*command, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_training_does_each_step_once(folder: Path) -> None:
    assert asked(folder) == STEPS
    assert asked(folder) == []


def test_a_step_that_failed_is_done_again(folder: Path) -> None:
    assert asked(folder, fails="trainers.run") == STEPS[:2]
    assert asked(folder) == STEPS[1:]


def test_the_services_share_one_volume_and_only_training_writes() -> None:
    for name, service in services("compose.yaml").items():
        (mount,) = service["volumes"]
        assert (mount["source"], mount["target"]) == ("shared", SHARED)
        assert mount.get("read_only", False) == (name != "training")
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_what_is_served_and_shown_is_what_training_writes() -> None:
    script, serving = compose_script(), services("compose.yaml")["serving"]
    (base,) = [flag for flag in serving["command"] if flag.startswith("--model_base_path=")]
    assert f"--export_dir={base.partition('=')[2]}" in " ".join(script.split())
    (logs,) = [f for f in services("compose.yaml")["tensorboard"]["command"] if "logdir" in f]
    assert f"--model_dir={logs.partition('=')[2]}" in script


def test_images_are_built_from_docker_files_that_exist() -> None:
    for name in FILES:
        built = {n: s for n, s in services(name).items() if "build" in s}
        assert set(built) == {"training", "tensorboard"}
        for service in built.values():
            context = EXAMPLES / services("compose.yaml")["training"]["build"]["context"]
            assert (context / service["build"]["dockerfile"]).is_file()
            assert service["image"] == built["training"]["image"]
    assert set(services("compose.gpu.yaml")) <= set(services("compose.yaml"))
