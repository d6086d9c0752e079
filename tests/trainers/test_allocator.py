"""Freed memory is there again without page faults."""

from __future__ import annotations

import subprocess
import sys

GIVING_BACK = """
import numpy as np
from trainers.allocator import give_back_freed_memory, keep_freed_memory
from trainers.planning.unallocated import resident_bytes

assert keep_freed_memory()
held = [np.ones(250_000) for _ in range(200)]  # 400 MB
held.append(held)  # and so freed by the garbage collector alone
before = resident_bytes()
del held
assert give_back_freed_memory()
print(before - resident_bytes())
"""
PROGRAM = """
import resource
import numpy as np
from trainers.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.full(200_000_000, 1, np.uint8).sum()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

{call}
faults()
print(faults())
"""


def second_time(call: str) -> int:
    """Returns the page faults of a buffer of 200 MB that was had and freed once before."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(call=call)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def test_a_buffer_costs_its_page_faults_once() -> None:
    assert second_time("assert keep_freed_memory()") * 20 < second_time("")


def test_memory_of_a_model_that_is_gone_goes_back_to_the_system() -> None:
    program = [sys.executable, "-c", GIVING_BACK]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert int(done.stdout) > 350 * 10**6
