"""Embedding tables as data: what a model declares."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """Some neighbouring columns of a table that start alike.

    Attributes:
        name: Name within the table.
        dim: Number of columns.
        stddev: Standard deviation of the normal initial values; 0 starts at zero.
    """

    name: str
    dim: int
    stddev: float


@dataclass(frozen=True)
class TableConfig:
    """One embedding table.

    Attributes:
        name: Name of the table.
        rows: Number of rows.
        parts: Columns, in order. Vectors that are always looked up together (the GMF and the MLP
            vector of a user) are parts of one row: one gather, one update.
        optimizer: Name of the table optimizer.
        rate_scale: Times the tables' learning rate.
        l1: Weight of the absolute values (`ftrl` only).
        l2: Weight of the squares (`ftrl` only).
    """

    name: str
    rows: int
    parts: tuple[Part, ...]
    optimizer: str
    rate_scale: float = 1.0
    l1: float = 0.0
    l2: float = 0.0

    @property
    def kind(self) -> str:
        """What tables must share to be stacked."""
        regularised = f"_{self.l1:g}_{self.l2:g}" if self.l1 or self.l2 else ""
        return f"{self.optimizer}_{self.dim}_{self.rate_scale:g}{regularised}"

    @property
    def dim(self) -> int:
        """Width of a row."""
        return sum(part.dim for part in self.parts)

    def columns(self, part: str) -> slice:
        """Returns which columns of a row are a part's."""
        index = [p.name for p in self.parts].index(part)
        left = sum(p.dim for p in self.parts[:index])
        return slice(left, left + self.parts[index].dim)
