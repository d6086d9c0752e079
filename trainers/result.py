"""What an evaluation finds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from trainers.click_details import ClickDetails
from trainers.user_ranks import RankingDetails


@dataclass(frozen=True)
class Result:
    """Metrics of one scorer on one split.

    Attributes:
        metrics: Value by name, such as `hr@10/sampled99` or `auc`.
        cards: Protocol card by protocol name, such as `sampled99` or `click`.
        slices: Of a click task, by feature: a row of metrics for each of its values.
        details: Of each user or row, where the evaluation was asked for them.
    """

    metrics: dict[str, float]
    cards: dict[str, dict[str, Any]]
    slices: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    details: RankingDetails | ClickDetails | None = None


def json_values(value: Any) -> Any:
    """Returns the value with None for numbers that are not finite, which JSON does not know."""
    if isinstance(value, dict):
        return {key: json_values(part) for key, part in value.items()}
    if isinstance(value, list):
        return [json_values(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
