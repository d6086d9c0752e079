"""Clients that ask without a pause, many at once, over HTTP or gRPC, and how long they wait."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import grpc
import numpy as np
import uvloop
from tensorflow_serving.apis import predict_pb2

WARM_UP_SECONDS = 1.0
_METHOD = "/tensorflow.serving.PredictionService/Predict"

# Asks with one of several prepared requests, and raises where the answer is an error.
Ask = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True)
class Load:
    """What was measured.

    Attributes:
        protocol: `grpc`, `rest`, or the bare call that the others are compared with.
        batching: Whether the server put requests together.
        concurrency: Clients at once.
        rows: Users, or rows, of a request.
        requests_per_second: Answers a second, of all clients together.
        milliseconds: Quantiles of the time of an answer, by name.
    """

    protocol: str
    batching: bool
    concurrency: int
    rows: int
    requests_per_second: float
    milliseconds: dict[str, float]


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    """Returns quantiles in milliseconds."""
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
    found = np.quantile(seconds, list(shares.values())) * 1e3
    return dict(zip(shares, found.tolist(), strict=True))


def grpc_requests(requests: Sequence[predict_pb2.PredictRequest]) -> list[bytes]:
    """Returns requests as they cross the wire."""
    return [request.SerializeToString() for request in requests]


def rest_requests(signature: str, inputs: Sequence[dict[str, Any]]) -> list[bytes]:
    """Returns requests in column form as they cross the wire."""
    bodies = [{"signature_name": signature, "inputs": values} for values in inputs]
    return [json.dumps(body).encode() for body in bodies]


def run_load(
    address: str, model: str, requests: Sequence[bytes], clients: int, seconds: float
) -> tuple[float, dict[str, float]]:
    """Asks for some time.

    Args:
        address: `http://HOST:PORT` or `grpc://HOST:PORT`.
        model: The model's name.
        requests: What is asked, in turn.
        clients: How many ask at once, each one after the other.
        seconds: How long, after a moment that does not count.

    Returns:
        Answers a second, and quantiles of their time in milliseconds.

    Raises:
        RuntimeError: A request was not answered.
    """
    gc.freeze()  # as in the server: its pauses would count as the server's
    over = _over_grpc if address.startswith("grpc://") else _over_rest
    times = uvloop.run(over(address, model, requests, clients, seconds))
    return len(times) / seconds, quantiles(times)


async def _over_grpc(
    address: str, model: str, requests: Sequence[bytes], clients: int, seconds: float
) -> list[float]:
    del model  # each request names it
    async with grpc.aio.insecure_channel(address.removeprefix("grpc://")) as channel:
        call = channel.unary_unary(_METHOD)

        async def ask(request: bytes) -> None:
            await call(request, timeout=60)

        return await _ask_for(ask, requests, clients, seconds)


async def _over_rest(
    address: str, model: str, requests: Sequence[bytes], clients: int, seconds: float
) -> list[float]:
    url = f"{address}/v1/models/{model}:predict"
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(request: bytes) -> None:
            async with session.post(url, data=request) as answer:
                body = await answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"{answer.status}: {body.decode()[:200]}")

        return await _ask_for(ask, requests, clients, seconds)


async def _ask_for(
    ask: Ask, requests: Sequence[bytes], clients: int, seconds: float
) -> list[float]:
    begin = time.perf_counter() + WARM_UP_SECONDS
    times: list[float] = []

    async def client(first: int) -> None:
        place = first
        while (sent := time.perf_counter()) < begin + seconds:
            await ask(requests[place % len(requests)])
            if sent >= begin:
                times.append(time.perf_counter() - sent)
            place += 1

    await asyncio.gather(*(client(n * len(requests) // clients) for n in range(clients)))
    return times
