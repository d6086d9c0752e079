"""Labelled rows without users and items, as sources of click data deliver them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

LABEL, SPLIT = "label", "split"


@dataclass
class ClickTable:
    """Rows of features with a label.

    Attributes:
        name: Name of the dataset, for people.
        frame: One row an example: `label` (Float32, 0 or 1), `split` (String: train, validation or
            test), numeric features (Float32) and categorical ones (String or Int64); null is a
            missing value.
        defaults: What stands in for a missing value, by numeric feature; 0 where none is named.
        min_category_count: Training rows that a category needs to get an id, where the user asks
            for no other number.
        files: Source files by name, with sha-256.
        skipped_lines: Malformed lines that were skipped, by file.
        options: The options that shaped the rows, for provenance.
        facts: Facts to carry into the schema.
    """

    name: str
    frame: pl.DataFrame
    defaults: dict[str, float] = field(default_factory=dict)
    min_category_count: int = 1
    files: dict[str, str] = field(default_factory=dict)
    skipped_lines: dict[str, int] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
