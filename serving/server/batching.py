"""Puts concurrent requests together, so that a graph runs once for many of them.

Requests of one kind for the same outputs of the same version, whose inputs differ in their rows
only, share a batch. A thread that becomes free takes what waits, so batches grow with the load by
themselves. All state is touched by the event loop only.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from serving.server.errors import Code, ServingError, invalid_argument
from serving.server.metrics import Metrics
from serving.server.servable import Servable
from serving.server.settings import BatchingParameters

Outcome = list[np.ndarray] | BaseException
_TICK = 0.001  # seconds: a timer may ring a little early, and must not ring without end


@dataclass(frozen=True, eq=False)
class _Task:
    feeds: Mapping[str, np.ndarray]
    rows: int
    answer: asyncio.Future[list[np.ndarray]]


@dataclass(eq=False)
class _Batch:
    servable: Servable
    fetches: Sequence[str]
    ready_at: float
    tasks: list[_Task] = field(default_factory=list)
    rows: int = 0


class Batcher:
    """A queue of batches and the threads that run them.

    Args:
        parameters: Sizes and times.
        metrics: Where batches are counted.
    """

    def __init__(self, parameters: BatchingParameters, metrics: Metrics) -> None:
        self._parameters = parameters
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(parameters.num_batch_threads, thread_name_prefix="batches")
        self._free = parameters.num_batch_threads
        self._waiting: deque[_Batch] = deque()
        self._open: dict[Hashable, _Batch] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def run(
        self,
        servable: Servable,
        feeds: Mapping[str, np.ndarray],
        fetches: Sequence[str],
        rows: int,
        kind: Hashable = None,
    ) -> list[np.ndarray]:
        """Runs a graph together with other requests; see `Servable.run`.

        Args:
            servable: The loaded version.
            feeds: Values of the graph's tensors, which all have `rows` rows.
            fetches: The graph's tensors that are wanted.
            rows: Rows of the request.
            kind: Requests of another kind run apart.

        Raises:
            ServingError: The graph's own error; INVALID_ARGUMENT for more rows than a batch may
                have; UNAVAILABLE where too many batches wait.
        """
        limit = self._parameters.max_batch_size
        if rows > limit:
            raise invalid_argument(
                f"Task size {rows} is larger than maximum input batch size {limit}"
            )
        answer = asyncio.get_running_loop().create_future()
        key = (servable, tuple(fetches), kind, *self._alike(feeds))
        batch = self._batch_for(key, servable, fetches, rows)
        batch.tasks.append(_Task(feeds, rows, answer))
        batch.rows += rows
        self._start_ready()
        return await answer

    def _batch_for(
        self, key: Hashable, servable: Servable, fetches: Sequence[str], rows: int
    ) -> _Batch:
        batch = self._open.get(key)
        if batch is not None and batch.rows + rows <= self._parameters.max_batch_size:
            return batch
        if len(self._waiting) >= self._parameters.max_enqueued_batches:
            raise ServingError(
                Code.UNAVAILABLE,
                "The batch scheduling queue to which this task was submitted is full",
            )
        servable.acquire()  # until the batch is done: its requests may be given up before
        wait = self._parameters.batch_timeout_micros / 1e6
        batch = _Batch(servable, fetches, time.monotonic() + wait)
        self._open[key] = batch
        self._waiting.append(batch)
        return batch

    def _alike(self, feeds: Mapping[str, np.ndarray]) -> list[Hashable]:
        if self._parameters.pad_variable_length_inputs:
            return [(name, value.ndim) for name, value in feeds.items()]
        return [(name, value.shape[1:]) for name, value in feeds.items()]

    def _start_ready(self) -> None:
        """Hands batches to free threads: full ones, and those that have waited long enough."""
        while self._free and (batch := self._next()) is not None:
            self._free -= 1
            self._waiting.remove(batch)
            self._open = {k: b for k, b in self._open.items() if b is not batch}
            batch.tasks = [task for task in batch.tasks if not task.answer.done()]
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(self._pool, self._outcomes, batch)
            running.add_done_callback(partial(self._finish, batch))
        if self._free and self._waiting and self._timer is None:
            wait = min(batch.ready_at for batch in self._waiting) - time.monotonic()
            self._timer = asyncio.get_running_loop().call_later(max(wait, _TICK), self._wake)

    def _next(self) -> _Batch | None:
        now, limit = time.monotonic(), self._parameters.max_batch_size
        ready = (b for b in self._waiting if b.ready_at <= now + _TICK / 2 or b.rows >= limit)
        return next(ready, None)

    def _wake(self) -> None:
        self._timer = None
        self._start_ready()

    def _outcomes(self, batch: _Batch) -> list[Outcome]:
        """Returns the answer to each task, or its error; in a thread."""
        if not batch.tasks:
            return []
        try:
            return list(self._together(batch))
        except ServingError as error:
            if len(batch.tasks) == 1:
                return [error]
        # One bad request must not fail the others.
        return [_alone(batch, task) for task in batch.tasks]

    def _together(self, batch: _Batch) -> list[list[np.ndarray]]:
        rows = sum(task.rows for task in batch.tasks)
        sizes = self._parameters.allowed_batch_sizes
        padded = next((size for size in sizes if size >= rows), rows)
        feeds = {
            name: joined([task.feeds[name] for task in batch.tasks], padded)
            for name in batch.tasks[0].feeds
        }
        self._metrics.observe_batch(batch.servable.name, rows, padded - rows)
        outputs = batch.servable.run(feeds, batch.fetches)
        if any(not output.ndim or len(output) != padded for output in outputs):
            raise ServingError(
                Code.FAILED_PRECONDITION,
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension "
                "sizes of the input tensors",
            )
        ends = np.cumsum([task.rows for task in batch.tasks])
        starts = ends - [task.rows for task in batch.tasks]
        return [
            [output[start:end] for output in outputs]
            for start, end in zip(starts, ends, strict=True)
        ]

    def _finish(self, batch: _Batch, done: asyncio.Future[list[Outcome]]) -> None:
        batch.servable.release()
        self._free += 1
        self._start_ready()
        if (failure := done.exception()) is not None:
            outcomes: list[Outcome] = [failure] * len(batch.tasks)
        else:
            outcomes = done.result()
        for task, outcome in zip(batch.tasks, outcomes, strict=True):
            if task.answer.done():
                continue
            if isinstance(outcome, BaseException):
                task.answer.set_exception(outcome)
            else:
                task.answer.set_result(outcome)

    def close(self) -> None:
        """Ends the threads; no request may be under way."""
        self._pool.shutdown()


def _alone(batch: _Batch, task: _Task) -> Outcome:
    try:
        return batch.servable.run(task.feeds, batch.fetches)
    except ServingError as error:
        return error


def joined(parts: Sequence[np.ndarray], rows: int) -> np.ndarray:
    """Returns arrays one after the other, the first row repeated at the end up to `rows` rows.

    Where their rows differ in shape, shorter ones are padded with the first value of their array,
    as TF Serving does.
    """
    if len(parts) > 1 and len({part.shape[1:] for part in parts}) > 1:
        widest = np.max([part.shape[1:] for part in parts], axis=0)
        parts = [_widened(part, widest) for part in parts]
    missing = rows - sum(map(len, parts))
    if missing:
        parts = [*parts, np.repeat(parts[0][:1], missing, axis=0)]
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _widened(part: np.ndarray, widest: np.ndarray) -> np.ndarray:
    more = [(0, int(size)) for size in widest - part.shape[1:]]
    # An array without any value has no first one.
    filler = part.flat[0] if part.size else (b"" if part.dtype == object else 0)
    if part.dtype == object:
        wide = np.full((len(part), *widest), filler, object)
        wide[tuple(slice(size) for size in part.shape)] = part
        return wide
    return np.pad(part, [(0, 0), *more], constant_values=filler)
