"""What this rank has to update of the tables, from the batches of all ranks."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from models.communicator import Communicator
from models.exchange import give_back, mean_by_row
from models.found import Found
from models.row_update import RowGradients
from models.table_stack import TableStack
from models.tables import EmbeddingTables


def exchange_gradients(
    tables: EmbeddingTables,
    found: Found,
    vectors: Mapping[str, tf.Tensor],
    gradients: Mapping[str, tf.Tensor],
) -> dict[str, RowGradients]:
    """Returns by stack the rows that this rank updates, and the mean of all ranks' gradients.

    Every rank calls this, with what it found of its own batch.

    Args:
        tables: The tables.
        found: What their `find` returned.
        vectors: By stack, what their `gather_rows` returned: shape (N, D), float32.
        gradients: By stack, gradients of those.
    """
    return {
        s.key: _of_stack(s, found, vectors[s.key], gradients[s.key], tables.communicator)
        for s in tables.stacks
        if s.key in found.rows
    }


def _of_stack(
    stack: TableStack,
    found: Found,
    vectors: tf.Tensor,
    gradients: tf.Tensor,
    communicator: Communicator,
) -> RowGradients:
    count = found.counts[stack.key]
    rows, mine = found.rows[stack.key][:count], gradients[:count]
    if communicator.size == 1:
        is_padded = found.rows[stack.key].shape[0] is not None
        return RowGradients(rows, mine, vectors[:count] if is_padded else vectors)
    if stack.key in found.exchanges:
        return RowGradients(*give_back(mine, found.exchanges[stack.key], communicator))
    everyone = communicator.all_gather(rows), communicator.all_gather(mine)
    return RowGradients(*mean_by_row(*everyone, communicator.size))
