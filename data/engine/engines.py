"""Where the work is done: in threads of this process, or on a Spark cluster.

Both run the same functions over the same files, parts and vocabularies, so that what they write is
the same. A cluster needs the source and the output on a disk that all its machines see under the
same path, and this package installed on them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from data.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Runs a function over items.

    Attributes:
        workers: Items worked on at the same time by one process.
        shares_memory: Whether functions run in this process.
    """

    workers: int
    shares_memory: bool

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Returns the results in the order of the items; raises what the function raised."""
        ...


class LocalEngine:
    """Threads of this process: what is slow releases Python's lock.

    Args:
        workers: Number of threads; 0 for as many as there are processors.
    """

    shares_memory = True

    def __init__(self, workers: int = 0) -> None:
        self.workers = workers or os.cpu_count() or 1

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Returns the results in the order of the items."""
        with ThreadPoolExecutor(self.workers) as pool:
            futures = [pool.submit(function, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise


class SparkEngine:
    """Tasks of a Spark cluster.

    Args:
        master: Spark's master, such as `spark://host:7077`, `yarn` or `local[2]`.
    """

    workers = 1  # a task has one core
    shares_memory = False

    def __init__(self, master: str) -> None:
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise InputError(
                "--engine=spark needs PySpark",
                received=error,
                action="pip install 'recommender-zoo[spark]', and Java 17 or newer",
            ) from error
        # The workers need the packages of this Python; a cluster's own setting goes first.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = SparkSession.builder.appName("recommender-zoo data.prepare").master(master)
        self._session: Any = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Returns the results in the order of the items."""
        listed = list(items)
        if not listed:
            return []
        context = self._session.sparkContext

        def guarded(item: Item) -> tuple[Result | None, str | None]:
            try:
                return function(item), None
            except InputError as error:  # whose message is for people: no stack trace of Java
                return None, str(error)

        results = context.parallelize(listed, len(listed)).map(guarded).collect()
        for _, message in results:
            if message is not None:
                raise InputError.of_message(message)
        return [result for result, _ in results]

    def close(self) -> None:
        """Ends the session."""
        self._session.stop()
