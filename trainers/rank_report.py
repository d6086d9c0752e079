"""What the ranks of a run do and wait for, as scalars of TensorBoard."""

from __future__ import annotations

import tensorflow as tf

from models.communicator import Communicator
from trainers.steps import Call

_MIB = 2**20


def of_ranks(call: Call, examples_per_row: int, communicator: Communicator) -> dict[str, float]:
    """Returns what each rank computed and sent in some steps; every rank calls this.

    Args:
        call: The steps of this rank.
        examples_per_row: Training examples of a row of a batch.
        communicator: The ranks.

    Returns:
        Share of the time in collectives and MiB sent a step, of the rank with most of it; by rank,
        examples a second and seconds a step outside of collectives: the rank whose seconds are
        most is the one that the others wait for.
    """
    traffic = communicator.take_traffic()
    examples = call.rows * examples_per_row
    # Collectives of one step may run side by side, so that their times sum up to more than it.
    waited = min(traffic.seconds, call.seconds)
    mine = [examples, call.seconds, waited, traffic.sent]
    everyone = communicator.all_gather(tf.constant([mine], tf.float64)).numpy()
    scalars = {
        "communication/share_of_time": float((everyone[:, 2] / everyone[:, 1]).max()),
        "communication/mib_per_step": float(everyone[:, 3].max()) / call.count / _MIB,
    }
    for rank, (seen, seconds, waiting, _) in enumerate(everyone):
        scalars[f"ranks/{rank}/examples_per_second"] = float(seen / seconds)
        scalars[f"ranks/{rank}/computing_seconds"] = float((seconds - waiting) / call.count)
    return scalars
