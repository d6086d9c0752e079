"""What this rank has to update of a table, from the batches of all ranks.

Legend: N rows of a batch, padded or not, n rows to update, D width.
"""

from __future__ import annotations

import tensorflow as tf

from models.communicator import Communicator
from models.exchange import give_back, mean_by_row
from models.found import Found
from models.row_update import RowUpdate
from models.table_stack import TableStack


def row_update(
    stack: TableStack,
    found: Found,
    vectors: tf.Tensor,
    gradients: tf.Tensor,
    communicator: Communicator,
    *,
    rate: tf.Tensor,
    step: tf.Tensor,
) -> RowUpdate:
    """Returns the rows, the mean over the ranks of their gradients, and what is known of them.

    Args:
        stack: The stack.
        found: Where its rows are.
        vectors: Of this rank's batch, (N, D), float32.
        gradients: Of those.
        communicator: The ranks.
        rate: Learning rate.
        step: Number of the update.
    """
    count = found.counts[stack.key]
    rows, mine = found.rows[stack.key][:count], gradients[:count]
    if communicator.size == 1:
        is_padded = found.rows[stack.key].shape[0] is not None
        return RowUpdate(rows, mine, rate, step, vectors[:count] if is_padded else vectors)
    if stack.key in found.exchanges:
        rows, mine = give_back(mine, found.exchanges[stack.key], communicator)
    else:
        everyone = communicator.all_gather(rows), communicator.all_gather(mine)
        rows, mine = mean_by_row(*everyone, communicator.size)
    return RowUpdate(rows, mine, rate, step)
