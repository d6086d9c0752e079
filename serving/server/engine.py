"""Runs graphs for all protocols without holding up the event loop: in threads, batched if asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from serving.server.batching import Batcher
from serving.server.metrics import Metrics
from serving.server.servable import Servable
from serving.server.settings import BatchingParameters

LARGE_BYTES = 64 * 1024  # a message that takes longer to decode than to hand to a thread

T = TypeVar("T")


class Engine:
    """The threads in which graphs run.

    Args:
        threads: Graphs that run at once; further requests wait.
        batching: How to put concurrent requests together; None to run each on its own.
        metrics: Where run times are counted.
    """

    def __init__(self, threads: int, batching: BatchingParameters | None, metrics: Metrics) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="graphs")
        self._batcher = Batcher(batching, metrics) if batching else None
        self._metrics = metrics

    async def run(
        self,
        servable: Servable,
        feeds: Mapping[str, np.ndarray],
        fetches: Sequence[str],
        api: str,
        kind: Hashable = None,
    ) -> list[np.ndarray]:
        """Runs a graph; see `Servable.run`.

        Args:
            servable: The loaded version.
            feeds: Values of the graph's tensors.
            fetches: The graph's tensors that are wanted.
            api: What asks, for the metrics.
            kind: What requests must share, beside all else, to share a run.
        """
        started = time.perf_counter()
        if self._batcher is not None and (rows := common_rows(feeds)):
            values = await self._batcher.run(servable, feeds, fetches, rows, kind)
        else:
            values = await self._alone(servable, feeds, fetches)
        self._metrics.observe_run(servable.name, api, time.perf_counter() - started)
        return values

    async def _alone(
        self, servable: Servable, feeds: Mapping[str, np.ndarray], fetches: Sequence[str]
    ) -> list[np.ndarray]:
        # Counted until the thread is done: a request may be given up before.
        servable.acquire()
        running = self._pool.submit(servable.run, feeds, fetches)
        running.add_done_callback(lambda _: servable.release())
        return await asyncio.wrap_future(running)

    async def decode(self, size: int, work: Callable[[], T]) -> T:
        """Runs what takes as long as a message is large: in a thread if that is long.

        Args:
            size: Bytes of the message.
            work: What decodes or encodes it.
        """
        if size < LARGE_BYTES:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Ends the threads, once what runs is done."""
        if self._batcher is not None:
            self._batcher.close()
        self._pool.shutdown()


def common_rows(feeds: Mapping[str, np.ndarray]) -> int:
    """Returns how many rows all inputs have; 0 where they do not share their first dimension."""
    sizes = {len(value) if value.ndim else 0 for value in feeds.values()}
    return sizes.pop() if len(sizes) == 1 else 0
