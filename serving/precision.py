"""Types of exported embedding tables, and how close their scores come to the trainer's."""

from __future__ import annotations

from typing import Literal

Precision = Literal["float32", "bfloat16"]

# Of scores, relative to the larger of 1 and the score. bfloat16 keeps 8 bits of each weight.
TOLERANCES: dict[Precision, float] = {"float32": 1e-5, "bfloat16": 0.03}
