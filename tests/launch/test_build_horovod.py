"""What `launch/build_horovod.sh` says when something is missing; the build itself is `make setup`.

Each test gives the script an environment of its own that sees this one's packages, so that the
Horovod installed here is never touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "launch" / "build_horovod.sh"
TOOLS = ("bash", "basename", "cat", "dirname", "mkdir", "mktemp", "nproc", "rm", "uname")


def build(python: Path | str, cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the script and returns its exit code and output."""
    given = {**os.environ, "PYTHON": str(python), "HOROVOD_WHEEL_CACHE": str(cache), **environment}
    return subprocess.run(
        [str(SCRIPT)], env=given, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python without TensorFlow."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with this environment's TensorFlow, for which no Horovod was built."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = folder / "lib" / version / "site-packages"
    (packages / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"])
    return folder / "bin" / "python"


def path_with(folder: Path, *more: str) -> str:
    """Returns a PATH that holds the script's everyday tools and some more."""
    folder.mkdir()
    for tool in (*TOOLS, *more):
        (folder / tool).symlink_to(str(shutil.which(tool)))
    return str(folder)


def test_a_missing_compiler_is_named_with_what_installs_it(python: Path, tmp_path: Path) -> None:
    done = build(python, tmp_path / "cache", CXX="/nowhere/g++")
    assert done.returncode == 1
    assert "no C++ compiler ('/nowhere/g++')" in done.stderr
    assert "apt-get install g++" in done.stderr
    assert "make setup-local" in done.stderr
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_compiler_behind_ccache_is_found(python: Path, tmp_path: Path) -> None:
    done = build(python, tmp_path / "cache", CXX="bash g++ -O2", PATH=path_with(tmp_path / "bin"))
    assert "no make" in done.stderr  # the check after the compiler's


def test_nccl_needs_nvcc(python: Path, tmp_path: Path) -> None:
    path = path_with(tmp_path / "bin", "g++", "make")
    done = build(python, tmp_path / "cache", PATH=path, HOROVOD_GPU_OPERATIONS="NCCL")
    assert done.returncode == 1
    assert "HOROVOD_GPU_OPERATIONS=NCCL needs CUDA's nvcc on the PATH" in done.stderr


def test_other_gpu_operations_are_refused(python: Path, tmp_path: Path) -> None:
    done = build(python, tmp_path / "cache", HOROVOD_GPU_OPERATIONS="MPI")
    assert done.returncode == 1
    assert "must be NCCL or not set. Received: MPI" in done.stderr


def test_a_missing_python_is_named(tmp_path: Path) -> None:
    done = build("/nowhere/python", tmp_path / "cache")
    assert done.returncode == 1
    assert "no Python at '/nowhere/python'; run 'make setup'" in done.stderr


def test_a_python_without_tensorflow_is_named(bare_python: Path, tmp_path: Path) -> None:
    done = build(bare_python, tmp_path / "cache")
    assert done.returncode == 1
    assert f"TensorFlow is not installed for '{bare_python}'" in done.stderr


def test_a_second_call_builds_nothing(tmp_path: Path) -> None:
    pytest.importorskip("horovod")
    done = build(sys.executable, tmp_path / "cache", CXX="/nowhere/g++")
    assert done.returncode == 0, done.stderr
    assert "is already installed and works" in done.stdout
    assert not (tmp_path / "cache").exists()
