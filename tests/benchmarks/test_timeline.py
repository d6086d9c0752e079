"""Horovod's timeline, as it writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.timeline import exchange_seconds


def tensor(pid: int, name: str, kind: str, blocks: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """Returns a tensor's events: it waits 500 us for the other rank, then exchanges."""
    events: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": pid, "args": {"name": name}},
        {"name": "process_sort_index", "ph": "M", "pid": pid, "args": {"sort_index": pid}},
    ]
    for began, ended in blocks:
        events += [
            {"ph": "B", "name": f"NEGOTIATE_{kind}", "ts": began - 500, "pid": pid},
            {"ph": "X", "name": "0", "ts": began - 500, "pid": pid, "dur": 0},
            {"ph": "E", "ts": began, "pid": pid},
            {"ph": "B", "name": kind, "ts": began, "pid": pid},
            {"ph": "B", "name": f"MPI_{kind}", "ts": began + 1, "pid": pid},
            {"ph": "E", "ts": ended - 1, "pid": pid},
            {"ph": "E", "ts": ended, "pid": pid},
        ]
    return events


def test_exchanges_of_a_step_are_added_up_without_waiting(tmp_path: Path) -> None:
    body = "while/body/_39/while/StatefulPartitionedCall"
    started = {"name": "process_name", "ph": "M", "pid": 0, "args": {"start_time": 1}}
    events = [
        started,
        *tensor(1, f"{body}/HorovodAlltoall_ids_0", "ALLTOALL", [(1000, 1300), (9000, 9900)]),
        *tensor(2, f"{body}/HorovodGroupedAllreduce_x_1of2", "ALLREDUCE", [(2000, 2100)]),
        *tensor(3, f"{body}/HorovodGroupedAllreduce_x_2of2", "ALLREDUCE", [(2000, 2100)]),
        *tensor(4, "HorovodAlltoall_of_the_parts_0", "ALLTOALL", [(3000, 8000)]),
    ]
    path = tmp_path / "timeline.json"
    # Horovod leaves the list open if its process ends early.
    path.write_text("[\n" + ",\n".join(json.dumps(event) for event in events) + ",\n")
    assert exchange_seconds(path) == pytest.approx((600 + 100) / 1e6)
