"""The most memory that a process has held."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from data.process_memory import peak_bytes

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
