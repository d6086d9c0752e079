"""Asks an exported model in the same process, without a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from serving.client.errors import refused
from serving.client.over_grpc import declared_inputs
from serving.client.transport import Input
from serving.server.errors import ServingError
from serving.server.predict_json import Format, PredictBody, input_arrays
from serving.server.servable import Servable
from serving.server.signature import checked_inputs
from serving.server.tensor_json import array_to_json


class InProcessTransport:
    """One loaded version, asked as over REST.

    Args:
        servable: The version; closed with this.
    """

    def __init__(self, servable: Servable) -> None:
        self.address = str(servable.path)
        self._servable = servable

    def predict(self, signature: str, inputs: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Returns the outputs of a signature by name, as nested lists.

        Raises:
            RequestError: Inputs that do not fit the signature, or the graph's own error.
        """
        body = PredictBody(signature, Format.COLUMN, dict(inputs))
        try:
            known = self._servable.signature(signature)
            feeds = checked_inputs(known, input_arrays(body, known.inputs))
            values = self._servable.run(feeds, list(known.fetches.values()))
            outputs = zip(known.fetches, values, strict=True)
            return {name: array_to_json(name, value) for name, value in outputs}
        except ServingError as error:
            raise refused(error.code.name, error.message, self.address) from error

    def inputs(self) -> dict[str, dict[str, Input]]:
        """Returns each signature's inputs by name."""
        return declared_inputs(self._servable.signature_defs)

    def versions(self) -> dict[int, str]:
        """Returns the state of the one version."""
        return {self._servable.version: "AVAILABLE"}

    def close(self) -> None:
        """Unloads the version."""
        self._servable.close()
