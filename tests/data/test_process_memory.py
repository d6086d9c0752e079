"""The most memory that a process has held, and what it may take."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from data.process_memory import available_bytes, peak_bytes

_MIB = 2**20


def test_the_peak_holds_what_was_freed() -> None:
    before = peak_bytes()
    held = np.ones(before // 8 + 16 * _MIB)
    size = held.nbytes
    del held
    assert peak_bytes() > max(before, size)


def test_a_small_process_started_by_a_large_one_is_small() -> None:
    held = np.ones(64 * _MIB)
    code = "from data.process_memory import peak_bytes; print(peak_bytes())"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert 4 * _MIB < int(child.stdout) < held.nbytes / 2


def test_the_peak_of_another_process() -> None:
    code = "print(flush=True); input()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as child:
        assert child.stdout is not None
        child.stdout.readline()  # before its first line the process may still be of one page
        try:
            assert _MIB < peak_bytes(child.pid) < 256 * _MIB
        finally:
            child.communicate(b"\n")


def test_processes_share_what_the_system_has_and_each_has_its_own_limit() -> None:
    assert available_bytes(4) == pytest.approx(available_bytes() / 4, rel=0.1)
    code = "from data.process_memory import available_bytes as f; print(f(), f(2))"
    limited = ["bash", "-c", f"ulimit -v 200000; exec {sys.executable} -c '{code}'"]
    said = subprocess.run(limited, capture_output=True, check=True).stdout
    alone, of_two = map(int, said.split())
    assert 10 * _MIB < of_two <= alone < 200 * _MIB
    assert of_two > 0.9 * alone
