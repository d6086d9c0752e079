"""From features to the stacks that hold their tables, and back.

A feature looks into one table, or, column by column of its ids' last axis, into several of one
width. Where those are in different stacks (some sharded, some not), the feature is cut into a piece
for each stack, and its vectors are joined again. No model sees the difference.

Legend: F columns, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from models.bags import Bag
from models.table_stack import TableStack

Tables = str | tuple[str, ...]
Starts = int | tuple[int, ...]


@dataclass(frozen=True)
class _Piece:
    """What of a feature goes to one stack.

    Attributes:
        feature: Name of the feature.
        stack: Key of the stack.
        starts: Number of the first row of its table, or of each column's, one or (F,).
        columns: Which columns of the ids; None for all, and for ids of one table.
    """

    feature: str
    stack: str
    starts: Starts
    columns: np.ndarray | None = None


class Routes:
    """Where each feature's vectors come from.

    A piece is named after its feature, or, where there are several, after that and its stack.

    Args:
        features: The table that each feature uses, or those of its columns.
        stacks: The stacks that hold the tables.
    """

    def __init__(self, features: Mapping[str, Tables], stacks: Sequence[TableStack]) -> None:
        self._pieces: dict[str, _Piece] = {}
        for feature, tables in features.items():
            pieces = list(_pieces(feature, tables, stacks))
            for piece in pieces:
                name = feature if len(pieces) == 1 else f"{feature} in {piece.stack}"
                self._pieces[name] = piece

    def stack_of(self, piece: str) -> str:
        """Returns the key of a piece's stack."""
        return self._pieces[piece].stack

    def stacks_of(self, features: Mapping[str, object]) -> set[str]:
        """Returns the keys of the stacks that hold any of the features' tables."""
        return {piece.stack for piece in self._pieces.values() if piece.feature in features}

    def split(
        self, ids: Mapping[str, tf.Tensor | Bag], stack: str
    ) -> tuple[dict[str, tf.Tensor | Bag], dict[str, Starts]]:
        """Returns the pieces that go to a stack, and the numbers of their tables' first rows."""
        mine = {
            name: piece
            for name, piece in self._pieces.items()
            if piece.stack == stack and piece.feature in ids
        }
        cut = {name: _take(ids[piece.feature], piece.columns) for name, piece in mine.items()}
        return cut, {name: piece.starts for name, piece in mine.items()}

    def join(self, vectors: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns vectors by feature from those by piece, (..., D) or (..., F, D)."""
        parts: dict[str, list[str]] = {}
        for name in vectors:
            parts.setdefault(self._pieces[name].feature, []).append(name)
        return {feature: self._joined(vectors, names) for feature, names in parts.items()}

    def _joined(self, vectors: Mapping[str, tf.Tensor], names: list[str]) -> tf.Tensor:
        if len(names) == 1:
            return vectors[names[0]]
        columns = np.concatenate([self._pieces[name].columns for name in names])
        joined = tf.concat([vectors[name] for name in names], axis=-2)
        return tf.gather(joined, np.argsort(columns), axis=-2)


def table_names(features: Mapping[str, Tables]) -> set[str]:
    """Returns the names of all tables that features use."""
    tables = features.values()
    return {name for some in tables for name in ([some] if isinstance(some, str) else some)}


def _pieces(feature: str, tables: Tables, stacks: Sequence[TableStack]) -> Iterator[_Piece]:
    for stack in stacks:
        if isinstance(tables, str):
            if tables in stack.offsets:
                yield _Piece(feature, stack.key, stack.offsets[tables])
            continue
        columns = [n for n, table in enumerate(tables) if table in stack.offsets]
        if columns:
            starts = tuple(stack.offsets[tables[n]] for n in columns)
            some = None if len(columns) == len(tables) else np.array(columns)
            yield _Piece(feature, stack.key, starts, some)


def _take(ids: tf.Tensor | Bag, columns: np.ndarray | None) -> tf.Tensor | Bag:
    return ids if columns is None else tf.gather(ids, columns, axis=-1)
