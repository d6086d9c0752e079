"""Concurrent requests share runs of the graph, and get the answers that they get alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from serving.server.batching import joined
from serving.server.engine import Engine, common_rows
from serving.server.errors import Code, ServingError
from serving.server.metrics import Metrics
from serving.server.servable import Servable
from serving.server.settings import BatchingParameters

X, Y = "x:0", "y:0"
Feeds = Mapping[str, np.ndarray]


class Doubler:
    """Stands in for a loaded graph, so that the test holds each run: y = 2x; fails below 0."""

    name = "doubler"

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.may_run = threading.Event()
        self.may_run.set()
        self.users = 0

    def acquire(self) -> None:
        self.users += 1

    def release(self) -> None:
        self.users -= 1

    def run(self, feeds: Feeds, fetches: Sequence[str]) -> list[np.ndarray]:
        self.may_run.wait(timeout=20)
        self.batches.append(feeds[X].ravel().tolist())
        if (feeds[X] < 0).any():
            raise ServingError(Code.INVALID_ARGUMENT, "x must not be negative")
        return [feeds[X] * 2 for _ in fetches]


def ask_all(
    graph: Doubler,
    parameters: BatchingParameters,
    requests: Sequence[np.ndarray],
    kinds: Sequence[int | None] = (),
) -> list[Any]:
    """Asks for all at once while the first run is held; returns answers and errors."""

    async def work() -> list[Any]:
        engine = Engine(2, parameters, Metrics())
        graph.may_run.clear()

        def ask(x: np.ndarray, kind: int | None) -> Awaitable[list[np.ndarray]]:
            return engine.run(cast(Servable, graph), {X: x}, [Y], "predict", kind)

        of = kinds or [None] * len(requests)
        running = [asyncio.ensure_future(ask(x, k)) for x, k in zip(requests, of, strict=True)]
        await asyncio.sleep(0.1)
        graph.may_run.set()
        answers = await asyncio.gather(*running, return_exceptions=True)
        engine.close()
        return answers

    return asyncio.run(work())


def columns(*values: float) -> list[np.ndarray]:
    return [np.array([value]) for value in values]


def test_what_waits_runs_together_and_each_gets_its_own() -> None:
    graph = Doubler()
    answers = ask_all(graph, BatchingParameters(num_batch_threads=1), columns(*range(10)))
    assert [answer[0].tolist() for answer in answers] == [[2.0 * x] for x in range(10)]
    assert graph.batches == [[0], list(range(1, 10))]
    assert graph.users == 0


def test_batches_are_no_larger_than_allowed_and_requests_keep_their_rows() -> None:
    graph = Doubler()
    requests = [np.arange(size) + 10.0 * size for size in (1, 3, 2, 4, 1)]
    answers = ask_all(graph, BatchingParameters(max_batch_size=5, num_batch_threads=1), requests)
    for asked, answer in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(answer[0], asked * 2)
    assert [len(batch) for batch in graph.batches] == [1, 5, 5]
    (refused,) = ask_all(Doubler(), BatchingParameters(max_batch_size=2), [np.zeros(3)])
    assert refused.message == "Task size 3 is larger than maximum input batch size 2"


def test_batches_are_padded_to_an_allowed_size() -> None:
    graph = Doubler()
    parameters = BatchingParameters(4, num_batch_threads=1, allowed_batch_sizes=(2, 4))
    answers = ask_all(graph, parameters, columns(5, 6, 7, 8))
    assert [answer[0].tolist() for answer in answers] == [[10.0], [12.0], [14.0], [16.0]]
    assert graph.batches == [[5, 5], [6, 7, 8, 6]]


def test_a_batch_waits_for_others_but_not_longer_than_it_may() -> None:
    graph = Doubler()
    parameters = BatchingParameters(100, batch_timeout_micros=50_000, num_batch_threads=2)
    answers = ask_all(graph, parameters, columns(1, 2, 3))
    assert [answer[0].tolist() for answer in answers] == [[2.0], [4.0], [6.0]]
    assert graph.batches == [[1, 2, 3]]
    graph = Doubler()
    ask_all(graph, BatchingParameters(3, 10_000_000, num_batch_threads=2), columns(1, 2, 3))
    assert graph.batches == [[1, 2, 3]]  # at once, as it is full


def test_one_bad_request_fails_alone() -> None:
    graph = Doubler()
    answers = ask_all(graph, BatchingParameters(num_batch_threads=1), columns(0, 1, -1, 3))
    assert [str(a) if isinstance(a, ServingError) else a[0].tolist() for a in answers] == [
        [0.0],
        [2.0],
        "x must not be negative",
        [6.0],
    ]
    assert graph.users == 0


def test_requests_of_other_shapes_run_apart_unless_they_are_padded() -> None:
    rows = [np.array([[1.0]]), np.array([[2.0, 3.0]]), np.array([[4.0]]), np.array([[5.0, 6.0]])]
    graph = Doubler()
    answers = ask_all(graph, BatchingParameters(num_batch_threads=1), rows)
    assert [answer[0].tolist() for answer in answers] == [(row * 2).tolist() for row in rows]
    assert graph.batches == [[1], [2, 3, 5, 6], [4]]
    graph = Doubler()
    padded = BatchingParameters(num_batch_threads=1, pad_variable_length_inputs=True)
    ask_all(graph, padded, rows)
    assert graph.batches == [[1], [2, 3, 4, 4, 5, 6]]


def test_requests_of_other_kinds_run_apart() -> None:
    graph = Doubler()
    parameters = BatchingParameters(num_batch_threads=1)
    answers = ask_all(graph, parameters, columns(1, 2, 3, 4, 5), [10, 10, 7, 10, 7])
    assert [answer[0].tolist() for answer in answers] == [[2.0], [4.0], [6.0], [8.0], [10.0]]
    assert graph.batches == [[1], [2, 4], [3, 5]]


def test_too_many_waiting_batches_are_refused() -> None:
    parameters = BatchingParameters(1, max_enqueued_batches=2, num_batch_threads=1)
    answers = ask_all(Doubler(), parameters, columns(1, 2, 3, 4))
    refused = [answer for answer in answers if isinstance(answer, ServingError)]
    assert [error.code for error in refused] == [Code.UNAVAILABLE]
    assert "queue to which this task was submitted is full" in refused[0].message


def test_a_request_that_is_given_up_takes_no_run() -> None:
    graph = Doubler()

    async def work() -> list[np.ndarray]:
        engine = Engine(2, BatchingParameters(num_batch_threads=1), Metrics())
        graph.may_run.clear()
        ask: Callable[[float], Awaitable[list[np.ndarray]]] = lambda x: engine.run(  # noqa: E731
            cast(Servable, graph), {X: np.array([x])}, [Y], "predict"
        )
        _first, given_up, last = (asyncio.ensure_future(ask(x)) for x in (1.0, 2.0, 3.0))
        await asyncio.sleep(0.05)
        given_up.cancel()
        graph.may_run.set()
        found = await last
        engine.close()
        return found

    assert asyncio.run(work())[0].tolist() == [6.0]
    assert graph.batches == [[1], [3]]
    assert graph.users == 0


def test_joined_repeats_the_first_row_and_pads_by_the_first_value() -> None:
    texts = [np.array([[b"a"]], object), np.array([[b"b", b"c"]], object)]
    assert joined(texts, 3).tolist() == [[b"a", b"a"], [b"b", b"c"], [b"a", b"a"]]
    assert joined([np.zeros((1, 0), int), np.array([[7]])], 2).tolist() == [[0], [7]]


@pytest.mark.parametrize(
    ("shapes", "rows"), [([(3,), (3, 2)], 3), ([(3,), (2,)], 0), ([()], 0), ([(0,)], 0)]
)
def test_only_inputs_of_equally_many_rows_are_batched(
    shapes: Sequence[tuple[int, ...]], rows: int
) -> None:
    assert common_rows({str(n): np.zeros(shape) for n, shape in enumerate(shapes)}) == rows


def test_a_real_graph_answers_a_batch_as_it_answers_each(half_plus_two: Path) -> None:
    servable = Servable("half", 123, half_plus_two / "123")
    signature = servable.signature("describe")

    async def work() -> list[list[np.ndarray]]:
        engine = Engine(2, BatchingParameters(batch_timeout_micros=20_000), Metrics())
        asks = []
        for n in range(20):
            tag = np.array([f"t{n}".encode()], object)
            inputs = {"tag": tag, "signal": np.full((1, 3), n, np.int32)}
            feeds = {signature.feeds[name]: value for name, value in inputs.items()}
            asks.append(engine.run(servable, feeds, list(signature.fetches.values()), "predict"))
        found = await asyncio.gather(*asks)
        engine.close()
        return found

    for n, values in enumerate(asyncio.run(work())):
        found = dict(zip(signature.fetches, values, strict=True))
        assert found["tag"].tolist() == [f"t{n}!".encode()]
        assert found["total"].tolist() == [3 * n]
    servable.close()
