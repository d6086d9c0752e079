"""What the server counts, in Prometheus's text form, under TF Serving's names."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence

import prometheus_client
from prometheus_client.core import Metric

from serving.server.errors import Code

# TF Serving's buckets of times in microseconds: from 10, each 1.8 times the one before.
_MICROSECONDS = [10 * 1.8**power for power in range(33)]
_SIZES = [2**power for power in range(15)]
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

prometheus_client.disable_created_metrics()


class Metrics:
    """Counters and histograms of one server."""

    def __init__(self) -> None:
        self._registry = prometheus_client.CollectorRegistry()
        self._requests = _RequestCount()
        self._registry.register(self._requests)
        self._latency = self._histogram(
            "request_latency",
            "Distribution of wall time (in microseconds) of requests.",
            ["model_name", "API", "entrypoint"],
            _MICROSECONDS,
        )
        self._runs = self._histogram(
            "runtime_latency",
            "Distribution of wall time (in microseconds) of the graph, waiting for it included.",
            ["model_name", "API", "runtime"],
            _MICROSECONDS,
        )
        batches = "batching_session"
        text = "Rows of a batch, without padding."
        self._batches = self._histogram(
            f"{batches}:processed_batch_size", text, ["model_name"], _SIZES
        )
        text = "Rows added to a batch to reach an allowed size."
        self._padding = self._histogram(
            f"{batches}:padding_size", text, ["model_name"], [0, *_SIZES]
        )

    def _histogram(
        self, name: str, text: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> prometheus_client.Histogram:
        full = f":tensorflow:serving:{name}"
        return prometheus_client.Histogram(
            full, text, labels, buckets=buckets, registry=self._registry
        )

    def observe_request(
        self, model: str, api: str, entrypoint: str, code: Code, seconds: float
    ) -> None:
        """Counts a request.

        Args:
            model: The model's name.
            api: Such as `predict`.
            entrypoint: `GRPC` or `REST`.
            code: How it ended.
            seconds: How long it took.
        """
        self._requests.add(model, code.name)
        if code is Code.OK:
            self._latency.labels(model, api, entrypoint).observe(seconds * 1e6)

    def observe_run(self, model: str, api: str, seconds: float) -> None:
        """Counts a run of a graph."""
        self._runs.labels(model, api, "TF1").observe(seconds * 1e6)

    def observe_batch(self, model: str, rows: int, padding: int) -> None:
        """Counts a batch and the rows added to it."""
        self._batches.labels(model).observe(rows)
        self._padding.labels(model).observe(padding)

    def text(self) -> bytes:
        """Returns all of them in Prometheus's text form."""
        text = prometheus_client.generate_latest(self._registry)
        return text.replace(_RequestCount.UNTYPED, _RequestCount.COUNTER)


class _RequestCount(prometheus_client.registry.Collector):
    """Requests by model and status.

    Not a `prometheus_client.Counter`, whose name would end in `_total`; TF Serving's does not. What
    it is written as, `UNTYPED`, is therefore to be replaced by `COUNTER`.
    """

    _NAME = ":tensorflow:serving:request_count"
    UNTYPED = f"# TYPE {_NAME} untyped\n".encode()
    COUNTER = f"# TYPE {_NAME} counter\n".encode()

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def add(self, model: str, status: str) -> None:
        with self._lock:
            self._counts[model, status] += 1

    def collect(self) -> Iterable[Metric]:
        metric = Metric(self._NAME, "The total number of requests.", "unknown")
        with self._lock:
            counts = dict(self._counts)
        for (model, status), count in counts.items():
            metric.add_sample(self._NAME, {"model_name": model, "status": status}, count)
        return [metric]
