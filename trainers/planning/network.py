"""What the ranks of a run send each other in a step, and how long that takes: on paper.

Per rank, of n ranks; u unique rows of a stack in a rank's batch (counted in a real batch), D its
width, w bytes a value on the wire:

    sharded     numbers  u (n-1)/n 4        vectors, gradients  each u (n-1)/n D w
    replicated  numbers  u (n-1) 4          gradients           u (n-1) 4 D
    dense       2 (n-1)/n of the gradients' bytes (a ring: every part goes round twice)

and the time of each is bytes / bandwidth + messages x latency. Nothing is taken to overlap with
computing, every link to be free, and every rank to ask every other for as much: so times are too
long where something overlaps, and too short where some rows are much asked for or links are shared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import tensorflow as tf

from configs.base import TrainerConfig
from data.errors import InputError
from models.recommender import Recommender
from models.table_stack import TableStack

_ID_BYTES = 4
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_NETWORK = re.compile(r"([\d.]+)\s*([kmgt]?)(bit|b),\s*([\d.]+)\s*(s|ms|us|ns)")
_TIMES = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True)
class Network:
    """What a rank may send.

    Attributes:
        bandwidth: Bytes a second.
        latency: Seconds of a message.
    """

    bandwidth: float
    latency: float

    @classmethod
    def parse(cls, text: str) -> Network:
        """Returns the network that a text tells of: `100Gbit,5us`, or `450GB,3us`.

        Raises:
            InputError: It tells of none.
        """
        match = _NETWORK.fullmatch(text.lower())
        if match is None:
            raise InputError(
                "--network must give what a rank can send a second, and the latency",
                received=repr(text),
                action="Such as --network=100Gbit,5us, or --network=450GB,3us",
            )
        amount, unit, kind, latency, of_time = match.groups()
        bits = 8 if kind == "bit" else 1
        return cls(float(amount) * _UNITS[unit] / bits, float(latency) * _TIMES[of_time])


@dataclass(frozen=True)
class Collective:
    """What a rank sends in one kind of collective of a step.

    Attributes:
        name: For people.
        sent: Bytes.
        messages: Messages, one after the other.
    """

    name: str
    sent: float
    messages: int

    def seconds(self, network: Network) -> float:
        """Returns the time that it takes."""
        return self.sent / network.bandwidth + self.messages * network.latency


def collectives(
    model: Recommender, counts: dict[str, int], config: TrainerConfig, ranks: int
) -> list[Collective]:
    """Returns what a rank sends in a step.

    Args:
        model: Built for as many ranks.
        counts: Unique rows of a rank's batch, by stack.
        config: Its training.
        ranks: Number of ranks.
    """
    found = [c for s in model.tables.stacks for c in _of_stack(s, counts[s.key], config, ranks)]
    weights = sum(w.shape.num_elements() * w.dtype.size for w in model.trainable_variables)
    if config.wire_dtype == "float16":
        weights //= 2
    ring = 2 * (ranks - 1)
    return [*found, Collective("sum of dense gradients", weights * ring / ranks, ring)]


def _of_stack(
    stack: TableStack, unique: int, config: TrainerConfig, ranks: int
) -> Iterator[Collective]:
    others = ranks - 1
    if stack.shards == 1:
        row = _ID_BYTES + stack.dim * tf.float32.size
        yield Collective(f"{stack.key}: all rows of all ranks", unique * others * row, 2 * others)
        return
    away = unique * others / ranks  # rows that other ranks hold
    vector = stack.dim * tf.as_dtype(config.wire_dtype).size
    yield Collective(f"{stack.key}: numbers of rows", away * _ID_BYTES, others)
    yield Collective(f"{stack.key}: vectors", away * vector, others)
    yield Collective(f"{stack.key}: gradients", away * vector, others)


def network_table(
    found: list[Collective], network: Network, rows: int, step_seconds: float | None, ranks: int
) -> str:
    """Returns the prediction as a table for people.

    Args:
        found: What a rank sends in a step.
        network: By what.
        rows: Rows of a rank's batch.
        step_seconds: Time of a step on one device; None leaves the speed out.
        ranks: Number of ranks.
    """
    lines = [f"{'a rank, a step':<52} {'MB sent':>10} {'ms':>9} {'bytes a row':>12}"]
    total = Collective("together", sum(c.sent for c in found), sum(c.messages for c in found))
    for c in (*found, total):
        ms = c.seconds(network) * 1e3
        lines.append(
            f"{c.name[:52]:<52} {c.sent / 1e6:>10,.3f} {ms:>9,.3f} {c.sent / rows:>12,.0f}"
        )
    if step_seconds:
        waiting = total.seconds(network)
        speed = ranks * rows / (step_seconds + waiting)
        share = waiting / (step_seconds + waiting)
        lines.append(
            f"{speed:,.0f} rows/s on {ranks} ranks, {rows / step_seconds:,.0f} on one; "
            f"{share:.0%} of the time in collectives"
        )
    return "\n".join(lines)
