"""The flags of `trainers.run --plan`."""

from __future__ import annotations

from typing import Any

from absl import flags

PLAN = flags.DEFINE_bool(
    "plan", False, "Print the memory that the run needs, and whether it fits; allocate nothing."
)
_RANKS = flags.DEFINE_integer("ranks", 1, "Ranks to --plan for.", lower_bound=1)
_MEMORY = flags.DEFINE_float(
    "memory_gib", None, "Memory of all ranks to --plan for; by default what is available here."
)
_NETWORK = flags.DEFINE_string(
    "network",
    None,
    "What a rank can send, and the latency (100Gbit,5us): adds bytes and times of collectives.",
)
_STEP_MS = flags.DEFINE_float(
    "step_ms", None, "Time of a step on one device, by --mode=benchmark: adds rows a second."
)


def wanted() -> dict[str, Any]:
    """Returns what was asked for, as `print_plan` takes it."""
    return {
        "ranks": _RANKS.value,
        "memory_gib": _MEMORY.value,
        "network": _NETWORK.value,
        "step_ms": _STEP_MS.value,
    }
