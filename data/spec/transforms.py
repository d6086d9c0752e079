"""Transforms of numbers: read from a spec, applied with NumPy to fit what follows them.

`models.numeric.apply_transforms` is the same in TensorFlow, for training and serving.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from data.errors import InputError
from data.feature import Transform

_NAMES = ("clip", "log1p", "normalise")


def parse_transforms(value: Any, where: str) -> tuple[Transform, ...]:
    """Returns the transforms of a list such as `[{clip: [0, 100]}, log1p, normalise]`.

    Raises:
        InputError: No list, an unknown transform, bounds that are none, or one that follows
            `normalise`.
    """
    if not isinstance(value, list):
        raise InputError(
            "Transforms must be a list, applied in its order",
            received=repr(value),
            where=where,
            action="For example [{clip: [0, 100]}, log1p, normalise]",
        )
    found = tuple(_transform(entry, where) for entry in value)
    names = [transform.name for transform in found]
    if "normalise" in names[:-1]:
        raise InputError("normalise must be the last transform", received=names, where=where)
    return found


def _transform(entry: Any, where: str) -> Transform:
    if entry in ("log1p", "normalise"):
        return Transform(entry)
    if isinstance(entry, dict) and list(entry) == ["clip"]:
        bounds = entry["clip"]
        if (
            isinstance(bounds, list)
            and len(bounds) == 2
            and all(isinstance(b, (int, float)) and not isinstance(b, bool) for b in bounds)
            and np.isfinite(bounds).all()
            and bounds[0] < bounds[1]
        ):
            return Transform("clip", (float(bounds[0]), float(bounds[1])))
        raise InputError(
            "clip must be given its low and its high bound, in that order",
            received=repr(bounds),
            where=where,
            action="For example {clip: [0, 100]}",
        )
    raise InputError(
        "A transform must be known",
        received=repr(entry),
        where=where,
        action=f"Known: {', '.join(_NAMES)}",
    )


def apply(transforms: Iterable[Transform], values: np.ndarray) -> np.ndarray:
    """Returns transformed values: float64 of the same shape, from values of any shape."""
    values = values.astype(np.float64)
    for transform in transforms:
        if transform.name == "clip":
            low, high = transform.values
            values = np.clip(values, low, high)
        elif transform.name == "log1p":
            values = np.log1p(np.maximum(values, 0.0))
        else:
            mean, stddev = transform.values
            values = (values - mean) / stddev if stddev > 0 else np.zeros_like(values)
    return values


def unfitted(transforms: Iterable[Transform]) -> tuple[Transform, ...]:
    """Returns those before `normalise`, on whose results it is fitted."""
    return tuple(t for t in transforms if t.name != "normalise")
