"""Dense weights by id, as a model declares them."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf


@dataclass(frozen=True)
class IdAxis:
    """A dense weight with an entry for each raw id of a feature, in the order of the ids.

    Attributes:
        weight: The weight.
        feature: Name of the feature.
        axis: Axis of the ids, which begins with that of `FIRST_ID`.
    """

    weight: tf.Variable
    feature: str
    axis: int
