"""What a client asks through: one model, behind HTTP, gRPC or in the same process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Input:
    """One input of a signature.

    Attributes:
        dtype: Its type, such as `DT_INT64`.
        rank: Its dimensions, that of the rows included.
    """

    dtype: str
    rank: int


class Transport(Protocol):
    """One model behind a protocol."""

    address: str

    def predict(self, signature: str, inputs: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Returns the outputs of a signature by name, as nested lists."""

    def inputs(self) -> dict[str, dict[str, Input]]:
        """Returns each signature's inputs by name."""

    def versions(self) -> dict[int, str]:
        """Returns the state of each version, such as `AVAILABLE`."""

    def close(self) -> None:
        """Closes the connection."""
