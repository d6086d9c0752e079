"""What a request asks for: a model, and which of its versions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSpec:
    """What a request asks for, as TF Serving's `ModelSpec`.

    Attributes:
        name: The model's name.
        version: The version, or None for the latest.
        label: The label of a version, or None.
    """

    name: str
    version: int | None = None
    label: str | None = None

    def __str__(self) -> str:
        """Returns the form that TF Serving's errors use."""
        if self.version is None:
            return f"Latest({self.name})"
        return f"Specific({self.name}, {self.version})"
