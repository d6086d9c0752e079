"""`--mode=benchmark`: how fast a model trains on a dataset on this machine, and what limits it.

Steps are first taken as training takes them, several a call, which gives the throughput. Then one
by one and in parts, each timed on its own: waiting for input, looking up rows of the tables, the
dense part, the update. Nothing is saved but the figures.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from configs.base import TrainerConfig
from data.dataset import PreparedDataset
from data.pipeline import MASK, Batch
from data.process_memory import peak_bytes
from models.communicator import Communicator, Traffic
from models.graphs import graph_function
from models.recommender import Recommender
from models.training_step import LookedUp
from trainers.ceilings import Ceilings, measure_ceilings
from trainers.operation_cost import OperationCost, operation_cost
from trainers.steps import Call, Steps
from trainers.verdict import Shares, verdict

_WARM_UP = 5  # steps before those that count, in which graphs are traced and memory is asked for


@dataclass(frozen=True)
class Measurement:
    """What a benchmark found.

    Attributes:
        examples_per_second: Over all ranks, of steps as training takes them.
        loss: Mean loss of the last tenth of those steps; for each target where rows have several.
        steps: How many there were.
        steps_taken: All steps taken when they ended, warm-up included.
        steps_per_call: Steps of the last call.
        step_ms: Percentiles of the time of a step taken alone.
        collectives_ms: Of those steps, the mean time of a step in collectives, that of waiting for
            slower ranks included; 0 on one rank.
        sent_bytes: What this rank sent to others in a step, as counted; a mean likewise.
        shares: Of a step's time, by part.
        peak_bytes: Largest memory of this process in those steps and before, on the host.
        device_peak_bytes: The same of its GPU; 0 without one.
        flops_per_example: Of the dense part's products of matrices, backwards included.
        dense_bytes_per_example: Read and written by the dense part's operations, were none fused.
        table_bytes_per_example: Read and written of tables, slots, vectors and their gradients.
        share_of_matmul: The dense part's rate over that of a product of square matrices.
        share_of_stream: The tables' traffic over what streaming reaches.
        ceilings: Of this machine, measured in the same run.
        verdict: What limits the run, and what to try.
    """

    examples_per_second: float
    loss: float
    steps: int
    steps_taken: int
    steps_per_call: int
    step_ms: dict[str, float]
    collectives_ms: float
    sent_bytes: float
    shares: Shares
    peak_bytes: int
    device_peak_bytes: int
    flops_per_example: float
    dense_bytes_per_example: float
    table_bytes_per_example: float
    share_of_matmul: float
    share_of_stream: float
    ceilings: Ceilings
    verdict: str

    def to_json(self) -> dict[str, Any]:
        """Returns the figures as JSON values."""
        return asdict(self)


def benchmark(
    config: TrainerConfig,
    data: PreparedDataset,
    model: Recommender,
    communicator: Communicator,
    steps: int,
) -> Measurement:
    """Measures a freshly built model.

    Args:
        config: How it would be trained.
        data: The prepared dataset.
        model: The model.
        communicator: Other processes.
        steps: Steps to time, of each kind.
    """
    taken = Steps(config, data, model, communicator)
    timed = _as_in_training(taken, communicator, steps)
    peak, device_peak = peak_memory()  # before the parts, whose graphs training does not have
    parts = _Parts(taken)
    times, fullest = parts.time(steps)
    cost = parts.cost(*fullest)
    ceilings = measure_ceilings(model.compute_dtype or "float32")
    _, gather, dense, update = times.mean(axis=0)
    batch_examples = config.batch_size * model.examples_per_row
    counts = fullest[1].found.counts
    moved = sum(s.bytes_moved(int(counts[s.key])) for s in model.tables.stacks if s.key in counts)
    shares = Shares.of(times)
    return Measurement(
        examples_per_second=timed.rows * model.examples_per_row * communicator.size / timed.seconds,
        loss=float(np.mean(timed.losses[-max(1, len(timed.losses) // 10) :])),
        steps=timed.steps,
        steps_taken=len(timed.losses),
        steps_per_call=taken.per_call,
        step_ms={f"p{p}": float(np.percentile(times.sum(1), p)) * 1e3 for p in (50, 90, 99)},
        collectives_ms=timed.traffic.seconds / timed.steps * 1e3,
        sent_bytes=timed.traffic.sent / timed.steps,
        shares=shares,
        peak_bytes=peak,
        device_peak_bytes=device_peak,
        flops_per_example=cost.flops / batch_examples,
        dense_bytes_per_example=cost.moved / batch_examples,
        table_bytes_per_example=moved / batch_examples,
        share_of_matmul=cost.flops / dense / ceilings.flops,
        share_of_stream=moved / (gather + update) / ceilings.streamed,
        ceilings=ceilings,
        verdict=verdict(shares, cost.flops / dense / ceilings.flops, config),
    )


@dataclass
class _Timed:
    """Steps taken as training takes them: their rows, seconds and traffic; the loss of every step.

    The warm-up's steps are in the losses alone.
    """

    steps: int = 0
    rows: float = 0.0
    seconds: float = 0.0
    traffic: Traffic = field(default_factory=Traffic)
    losses: list[float] = field(default_factory=list)

    def add(self, call: Call, seconds: float, traffic: Traffic) -> None:
        self.steps += call.count
        self.rows += call.rows
        self.seconds += seconds
        sent, waited = self.traffic.sent + traffic.sent, self.traffic.seconds + traffic.seconds
        self.traffic = Traffic(sent, waited)


def _as_in_training(taken: Steps, communicator: Communicator, steps: int) -> _Timed:
    """Takes steps; epochs follow each other as in training, so that a short one's start counts."""
    timed, epoch = _Timed(), 0
    while timed.steps < steps:
        began = time.perf_counter()
        for call in taken.epoch(epoch):
            timed.losses += [call.means.get("per_target", call.means["loss"])] * call.count
            ended = time.perf_counter()
            traffic = communicator.take_traffic()
            if len(timed.losses) > _WARM_UP + call.count and taken.per_call:
                timed.add(call, ended - began, traffic)
            began = ended
            if timed.steps >= steps:
                break
        epoch += 1
    return timed


class _Parts:
    """The parts of a step, each in a graph of its own."""

    def __init__(self, taken: Steps) -> None:
        self._taken = taken
        step = taken.training_step
        self._look_up = graph_function(step.look_up)
        # Rows that a rank gets from others are of another number each step.
        self._gradients = graph_function(step.gradients, reduce_retracing=True)
        self._update = graph_function(step.update, reduce_retracing=True)

    def time(self, steps: int) -> tuple[np.ndarray, tuple[Batch, LookedUp]]:
        """Returns the seconds of each step's parts, (steps, 4), and what the fullest step took in.

        The last batch of an epoch may be padding for the most part.
        """
        times: list[list[float]] = []
        fullest, most, epoch = None, -1.0, 0
        while True:
            batches = iter(self._taken.batches(epoch))
            for _ in range(self._taken.per_epoch):
                marks, taken = self._step(batches)
                times.append(np.diff(marks).tolist())
                if (rows := float(tf.reduce_sum(taken[0][MASK]))) > most:
                    fullest, most = taken, rows
                if fullest is not None and len(times) == steps + _WARM_UP:
                    return np.array(times[_WARM_UP:]), fullest
            epoch += 1

    def _step(self, batches: Any) -> tuple[list[float], tuple[Batch, LookedUp]]:
        marks = [time.perf_counter()]
        batch = next(batches)
        marks.append(time.perf_counter())
        looked_up = self._look_up(batch)
        _mark(marks)
        gradients = self._gradients(batch, looked_up)
        _mark(marks)
        self._update(looked_up, gradients)
        _mark(marks)
        return marks, (batch, looked_up)

    def cost(self, batch: Batch, looked_up: LookedUp) -> OperationCost:
        """Counts what the dense part computes and moves."""
        gradients = self._taken.training_step.gradients
        return operation_cost(lambda: gradients(batch, looked_up))


def _mark(marks: list[float]) -> None:
    tf.test.experimental.sync_devices()  # a GPU goes on after a call has returned
    marks.append(time.perf_counter())


def peak_memory() -> tuple[int, int]:
    """Returns the largest memory of this process so far: on the host, and on its GPU, in bytes."""
    host = peak_bytes()
    if not tf.config.list_logical_devices("GPU"):
        return host, 0
    return host, int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
