"""How the tables that a model makes are stored: their type, and which rank holds which rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from models.communicator import Communicator
from models.placement import Placement
from models.table_config import TableConfig
from models.table_optimizers import make_table_optimizer


@dataclass(frozen=True)
class TableStorage:
    """How tables that are made now are stored.

    Attributes:
        dtype: Type of their values, `float32` or `bfloat16`; that of `ftrl` is float32, for its
            weights follow from its slots. Slots are float32.
        draws: Whether they get their initial values, which none need whose rows are read anyway.
        is_planned: Whether nothing is allocated, so that no size is refused.
        holds_rows: Whether there are any rows; where the dense weights alone are wanted, none are.
        communicator: The ranks that share them.
        placement: Which are sharded over several ranks.
    """

    dtype: str = "float32"
    draws: bool = True
    is_planned: bool = False
    holds_rows: bool = True
    communicator: Communicator = Communicator()  # noqa: RUF009  it has no state
    placement: Placement = Placement()  # noqa: RUF009  frozen

    def shards(self, table: TableConfig) -> tuple[int, str]:
        """Returns in how many parts a table is held, and why, for people."""
        if self.communicator.size == 1:
            return 1, "there is one rank"
        optimizer = make_table_optimizer(table.optimizer, table.l1, table.l2)
        dtype = "float32" if optimizer.needs_float32 else self.dtype
        slots = sum(width for _, width in optimizer.slot_shapes(1, table.dim).values())
        size = table.rows * (table.dim * tf.as_dtype(dtype).size + slots * tf.float32.size)
        is_sharded, reason = self.placement.decide(table.name, size, self.communicator.size)
        return self.communicator.size if is_sharded else 1, reason


_STORAGE: ContextVar[TableStorage] = ContextVar("table_storage", default=TableStorage())  # noqa: B039  frozen


@contextmanager
def table_storage(**changes: Any) -> Iterator[None]:
    """Stores tables that are made within the block so; takes fields of `TableStorage`."""
    token = _STORAGE.set(replace(_STORAGE.get(), **changes))
    try:
        yield
    finally:
        _STORAGE.reset(token)


def current_storage() -> TableStorage:
    """Returns how tables that are made here are stored."""
    return _STORAGE.get()
