"""A run's settings as TensorBoard shows them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from configs.base import RunConfig

# Where, how often and how fast, which the model that comes out does not depend on.
NOT_COMPARED = (
    "placement",
    "replicate_mib",
    "wire_dtype",
    "steps_per_call",
    "checkpoint_steps",
    "checkpoint_minutes",
    "keep_checkpoints",
)


Setting = bool | int | float | str


def compared(config: RunConfig) -> dict[str, Setting]:
    """Returns the settings that the model of a run depends on, by their path in the config."""
    found: dict[str, Setting] = {"model": config.model_name, "recipe": config.recipe}
    for part, settings in (("model", config.model), ("trainer", config.trainer)):
        for name, value in dataclasses.asdict(settings).items():
            if name not in NOT_COMPARED:
                found[f"{part}.{name}"] = _plain(value)
    return found


def _plain(value: Any) -> Setting:
    if isinstance(value, bool | int | float | str):
        return value
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else json.dumps(value)
