"""Measures what the ranks of your cluster can send each other, for `trainers.run --plan`.

  launch/local.sh 2 -m trainers.measure_network
  launch/ssh.sh hosts.txt -m trainers.measure_network

Times the collectives of a training step, through the calls that training makes, at growing sizes:
so the time in which ranks agree to begin is counted. Rank 0 prints a line a size, what the fitted
line says of it, and the flag that --plan takes:

    seconds = bytes sent / bandwidth + messages x latency

fitted to the all-to-alls, of as many messages as there are other ranks.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded

import numpy as np
import tensorflow as tf
from absl import app, flags, logging

from data.command_line import EXIT_BAD_INPUT, no_argument, parse_flags
from data.errors import InputError
from models.communicator import Communicator
from models.graphs import graph_function
from trainers.distributed import make_communicator
from trainers.planning.network import Collective, Network

_SIZES = flags.DEFINE_list("kib", ["1", "16", "64", "256", "1024", "4096", "16384"], "KiB to send.")
_REPEATS = flags.DEFINE_integer("repeats", 7, "Times of each, of which the median counts.")

_ROUNDS = 10  # one after the other in a call, so that Python counts for nothing


@dataclass(frozen=True)
class Timed:
    """A collective and the time it took.

    Attributes:
        collective: What a rank sent.
        seconds: Median over the repetitions.
    """

    collective: Collective
    seconds: float


def measure(communicator: Communicator, kib: list[int], repeats: int) -> list[Timed]:
    """Returns the times of an all-to-all, then of a sum, of each size; every rank calls this."""
    ranks = communicator.size
    found = []
    for size in kib:
        numbers = -(-size * 256 // (ranks - 1))  # float32 for each rank, this one included
        splits = tf.fill([ranks], numbers)

        def exchange(x: tf.Tensor, splits: tf.Tensor = splits) -> tf.Tensor:
            return tf.ensure_shape(communicator.all_to_all(x, splits)[0], x.shape)

        seconds = _time(exchange, numbers * ranks, repeats)
        sent = 4.0 * numbers * (ranks - 1)
        found.append(Timed(Collective("all-to-all", sent, ranks - 1), seconds))
    for size in kib:
        numbers = size * 128 * ranks // (ranks - 1)  # of which 2 (n - 1) / n are sent
        seconds = _time(lambda x: communicator.all_reduce_mean([x])[0], numbers, repeats)
        sent = 8.0 * numbers * (ranks - 1) / ranks
        found.append(Timed(Collective("sum", sent, 2 * (ranks - 1)), seconds))
    return found


def _time(collective: Callable[[tf.Tensor], tf.Tensor], numbers: int, repeats: int) -> float:
    """Returns the median of a collective's seconds."""
    values = tf.zeros([numbers])

    @graph_function
    def several(values: tf.Tensor) -> tf.Tensor:
        def one_more(index: tf.Tensor, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return index + 1, collective(values)

        return tf.while_loop(lambda index, _: index < _ROUNDS, one_more, (0, values))[1]

    several(values)
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        several(values)[:1].numpy()
        times.append((time.perf_counter() - began) / _ROUNDS)
    return float(np.median(times))


def fit(timed: list[Timed]) -> Network:
    """Returns the network whose predictions have the least squared relative errors."""
    seconds = np.array([t.seconds for t in timed])
    terms = np.array([(t.collective.sent, t.collective.messages) for t in timed])
    per_byte, latency = np.linalg.lstsq(terms / seconds[:, None], np.ones(len(timed)), rcond=None)[
        0
    ]
    return Network(1 / per_byte, latency)


def report(timed: list[Timed], network: Network) -> str:
    """Returns the table for people, and the flag."""
    lines = [f"{'':<12} {'KiB sent':>10} {'ms':>9} {'fitted ms':>10} {'MB/s':>9}"]
    for t in timed:
        sent, seconds = t.collective.sent, t.seconds
        fitted = t.collective.seconds(network)
        lines.append(
            f"{t.collective.name:<12} {sent / 1024:>10,.0f} {seconds * 1e3:>9,.3f} "
            f"{fitted * 1e3:>10,.3f} {sent / seconds / 1e6:>9,.0f}"
        )
    bandwidth, latency = network.bandwidth / 1e6, network.latency * 1e6
    return "\n".join([*lines, f"--network={bandwidth:.0f}MB,{latency:.0f}us"])


def main(argv: list[str]) -> None:
    """Measures and prints."""
    no_argument(argv)
    logging.set_verbosity(logging.ERROR)
    try:
        kib = _sizes(_SIZES.value)
        communicator = make_communicator()
        if communicator.size == 1:
            raise InputError(
                "A network is measured by several ranks",
                received=1,
                action="Start them: launch/local.sh 2 -m trainers.measure_network",
            )
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_BAD_INPUT)
    timed = measure(communicator, kib, _REPEATS.value)
    if communicator.rank == 0:
        print(report(timed, fit([t for t in timed if t.collective.name == "all-to-all"])))
    communicator.barrier()  # or the first to end stops the others


def _sizes(given: list[str]) -> list[int]:
    if len(given) < 2 or not all(size.isdecimal() and int(size) for size in given):
        raise InputError(
            "--kib must list two sizes or more, whole numbers",
            received=",".join(given),
            action="Such as --kib=1,64,1024",
        )
    return [int(size) for size in given]


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
