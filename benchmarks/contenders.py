"""What a suite of benchmarks is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Peer:
    """A program of `benchmarks.peers`.

    Attributes:
        name: Name in the tables.
        program: Its module, in `benchmarks`.
        in_own_environment: Whether it runs in the peers' environment and not in ours.
        model: Sizes that it alone has.
        optimizer: What differs from the suite's.
        steps_share: Share of the suite's steps that it takes, where it is very slow.
        precision: Of its computations.
    """

    name: str
    program: str
    in_own_environment: bool = True
    model: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    steps_share: float = 1.0
    precision: str = "float32"


@dataclass(frozen=True)
class Ours:
    """One of our models.

    Attributes:
        name: Name in the tables.
        settings: Of `--set`, beside the suite's.
        data: Dataset in place of the suite's.
    """

    name: str
    settings: tuple[str, ...] = ()
    data: str = ""


@dataclass(frozen=True)
class Target:
    """How many times as fast as another one of ours shall be.

    Attributes:
        ours: Its name.
        over: The other's; empty for a speed in examples a second.
        at_least: The least ratio, or speed.
    """

    ours: str
    over: str
    at_least: float


@dataclass(frozen=True)
class Suite:
    """Contenders at one size.

    Attributes:
        name: Of `--suite`.
        title: For people.
        data: A name of `benchmarks.datasets.datasets`.
        kind: What the peers read.
        model: Our model.
        settings: Of `--set`, for all of ours.
        batch_size: Rows of a step.
        steps: Steps to time.
        epoch: Whether the peers time one epoch in place of steps.
        sizes: Of the peers' models.
        optimizer: Of the peers.
        ours: Our contenders.
        peers: The others.
        targets: What is to be reached.
    """

    name: str
    title: str
    data: str
    kind: str
    model: str
    settings: tuple[str, ...]
    batch_size: int
    steps: int
    sizes: dict[str, Any]
    optimizer: dict[str, Any]
    ours: tuple[Ours, ...]
    peers: tuple[Peer, ...]
    targets: tuple[Target, ...]
    epoch: bool = False
