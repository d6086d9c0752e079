"""Reads Horovod's timeline: how long the ranks exchanged, without waiting for each other."""

from __future__ import annotations

import json
import re
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

_EXCHANGES = ("ALLTOALL", "ALLREDUCE", "ALLGATHER")
_IN_STEPS = "while/body"  # steps of a call after its first
_FUSED_WITH_ANOTHER = re.compile(r"_(?!1of)\d+of\d+$")


def exchange_seconds(path: Path) -> float:
    """Returns the seconds of a training step in which rank 0 exchanged.

    Those are the blocks ALLTOALL, ALLREDUCE and ALLGATHER, which begin when all ranks are ready:
    the median of each collective of a step, added up. Tensors that travel together count once.

    Args:
        path: A file that TIMELINE=... of a launcher named, of a run of several steps a call.
    """
    return sum(statistics.median(blocks) for blocks in _exchanges(_read(path)).values())


def _read(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8").rstrip().rstrip(",")
    found: list[dict[str, Any]] = json.loads(text if text.endswith("]") else text + "]")
    return found


def _exchanges(events: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Returns the seconds of each exchange of training steps, by tensor."""
    names = {e["pid"]: e["args"]["name"] for e in events if "name" in e.get("args", {})}
    found: dict[str, list[float]] = defaultdict(list)
    opened: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event["ph"] == "B":
            opened[event["pid"]].append(event)
        elif event["ph"] == "E" and opened[event["pid"]]:
            begun, name = opened[event["pid"]].pop(), names[event["pid"]]
            is_step = _IN_STEPS in name and not _FUSED_WITH_ANOTHER.search(name)
            if is_step and begun["name"] in _EXCHANGES:
                found[name].append((event["ts"] - begun["ts"]) / 1e6)
    return found
