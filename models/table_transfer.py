"""Rows of trained tables into larger ones, whose vocabularies go on where the old ones end."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from data.errors import InputError
from models.table_stack import TableStack
from models.tables import EmbeddingTables


def transfer_rows(
    old: EmbeddingTables, new: EmbeddingTables, known: Mapping[str, int]
) -> dict[str, int]:
    """Copies the rows of tables, and of their optimizers' slots, where both have them.

    Args:
        old: Trained tables.
        new: Tables with the same names, as large or larger.
        known: By table that has grown, the ids that the old one knows: its first rows. Rows after
            those, such as that of a mask token, are the last ones of both.

    Returns:
        Rows copied, by table.

    Raises:
        InputError: Tables of other names or widths, or another number of rows than `known` tells.
    """
    sources = {name: stack for stack in old.stacks for name in stack.offsets}
    targets = {name: stack for stack in new.stacks for name in stack.offsets}
    if sources.keys() != targets.keys():
        alone = ", ".join(sorted(sources.keys() ^ targets.keys()))
        raise InputError(
            "A warm start needs a model with the same tables",
            received=f"{alone} in one of the two alone",
            action="Use the model settings and the columns of the run to start from",
        )
    copied = {}
    for name, source in sources.items():
        copied[name] = _transfer(name, source, targets[name], known.get(name))
    new.updates.assign(old.updates)
    return copied


def _transfer(name: str, source: TableStack, target: TableStack, known: int | None) -> int:
    before, after = source.rows_of(name), target.rows_of(name)
    if source.key != target.key or after < before or (known is None and after != before):
        raise InputError(
            f"The table '{name}' must be of the same kind, and grow with its vocabulary alone",
            received=f"{before:,} rows of {source.key}, now {after:,} of {target.key}",
            action="Use the model settings of the run to start from",
        )
    first = before if known is None else known
    rest = before - first  # which stay the last rows
    pairs = [(source.variable, target.variable)]
    pairs += [(source.slots[slot], target.slots[slot]) for slot in source.slots]
    start, end = source.offsets[name], target.offsets[name]
    for theirs, ours in pairs:
        _copy(theirs, ours, start, end, first)
        _copy(theirs, ours, start + first, end + after - rest, rest)
    return before


def _copy(source: tf.Variable, target: tf.Variable, start: int, end: int, rows: int) -> None:
    if rows:
        taken = tf.cast(source[start : start + rows], target.dtype)
        # In place; to assign to a slice, TensorFlow reads and copies the whole table.
        target.scatter_update(tf.IndexedSlices(taken, tf.range(end, end + rows)))
