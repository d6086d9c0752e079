"""The protocol card of a ranking evaluation: all that its numbers depend on but the model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from data.blocks import Ragged
from data.dataset import PreparedDataset
from data.schema import FIRST_ID, Candidates

VIEW = "histories"


def ranking_card(
    data: PreparedDataset, split: str, candidates: Candidates | None, counts: Mapping[str, int]
) -> dict[str, Any]:
    """Returns the card of one protocol.

    Args:
        data: The prepared dataset.
        split: What was evaluated.
        candidates: What targets were ranked among; None for all items.
        counts: What was evaluated: `users`, `targets` and `unknown_targets`.
    """
    held_out_users = bool(data.schema.facts.get("held_out_users"))
    smaller = "targets or k, whichever is smaller"
    card: dict[str, Any] = {
        "dataset": data.schema.name,
        "split": split,
        "split_sha256": _split_sha256(data, split),
        **counts,
        "unknown_targets_rule": "an item never seen in training counts as a miss",
        "ties": "targets rank last among equal scores",
        "recall": f"hits by {smaller if held_out_users and candidates is None else 'targets'}",
    }
    if candidates is not None:
        return {
            **card,
            "candidates": f"{candidates.negatives} frozen negatives ({candidates.sampling})",
            "candidates_sha256": candidates.sha256,
            "excluded": "items that the user has touched in any split",
        }
    return {
        **card,
        "candidates": f"all {data.schema.cardinality('item') - FIRST_ID} items",
        "excluded": "the user's items of earlier splits and its other targets",
    }


def _split_sha256(data: PreparedDataset, split: str) -> str:
    """Returns the hash of who is evaluated on what, after which past."""
    histories = data.read(VIEW, split)
    digest = hashlib.sha256()
    for name in ("user", "item", "seen_item"):
        column = histories[name]
        parts = (column.values, column.lengths) if isinstance(column, Ragged) else (column,)
        for part in parts:
            digest.update(np.ascontiguousarray(part, "<i4").tobytes())
    return digest.hexdigest()
