"""Asks over TF Serving's RESTful API."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import requests

from serving.client.errors import no_answer, refused
from serving.client.retries import with_retries
from serving.client.transport import Input

_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_READ_AT_ONCE = 64 * 1024


class RestTransport:
    """One model over HTTP. Not for several threads at once.

    Args:
        url: Of the server, such as `http://127.0.0.1:8501`.
        model: The model's name there, with the version or label if any.
        timeout: Seconds for a request, retries included.
        retries: Most attempts after the first.
    """

    def __init__(self, url: str, model: str, timeout: float, retries: int) -> None:
        self.address = f"{url.rstrip('/')}/v1/models/{model}"
        self._timeout, self._retries = timeout, retries
        self._session = requests.Session()

    def predict(self, signature: str, inputs: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Returns the outputs of a signature by name, as nested lists.

        Raises:
            RequestError: The server's error, or no answer.
        """
        body = {"signature_name": signature, "inputs": inputs}
        outputs = self._call("POST", ":predict", body)["outputs"]
        return outputs if isinstance(outputs, dict) else {"outputs": outputs}

    def inputs(self) -> dict[str, dict[str, Input]]:
        """Returns each signature's inputs by name; asked for once."""
        return self._inputs

    @cached_property
    def _inputs(self) -> dict[str, dict[str, Input]]:
        signatures = self._call("GET", "/metadata")["metadata"]["signature_def"]["signature_def"]
        return {
            name: {
                key: Input(entry["dtype"], len(entry["tensor_shape"]["dim"]))
                for key, entry in signature["inputs"].items()
            }
            for name, signature in signatures.items()
        }

    def versions(self) -> dict[int, str]:
        """Returns the state of each version, such as `AVAILABLE`."""
        found = self._call("GET", "")["model_version_status"]
        return {int(entry["version"]): entry["state"] for entry in found}

    def close(self) -> None:
        """Closes the connection."""
        self._session.close()

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        # Not by `json=`, which refuses NaN, a missing number.
        data = None if body is None else json.dumps(body)
        return with_retries(
            lambda seconds: self._once(method, path, data, seconds), self._timeout, self._retries
        )

    def _once(self, method: str, path: str, data: str | None, seconds: float) -> dict[str, Any]:
        status, body = self._body(method, path, data, time.monotonic() + seconds)
        code = _CODES.get(status, "UNKNOWN")
        try:
            content = json.loads(body)
        except ValueError as error:  # a proxy's page, for example
            raise no_answer(f"{status}: no JSON", self.address, code) from error
        if status != requests.codes.ok:
            raise refused(code, f"{status}: {content.get('error')}", self.address)
        return content

    def _body(self, method: str, path: str, data: str | None, deadline: float) -> tuple[int, bytes]:
        url, seconds = f"{self.address}{path}", deadline - time.monotonic()
        try:
            with self._session.request(
                method, url, data=data, timeout=seconds, stream=True
            ) as answer:
                parts = []
                # The timeout is for each piece, of which a slow server may send any number.
                for part in answer.iter_content(_READ_AT_ONCE):
                    if time.monotonic() > deadline:
                        raise requests.Timeout("the answer did not end in time")
                    parts.append(part)
                return answer.status_code, b"".join(parts)
        except requests.Timeout as error:
            raise no_answer(error, self.address, "DEADLINE_EXCEEDED") from error
        except requests.RequestException as error:
            raise no_answer(error, self.address, "UNAVAILABLE") from error
