"""Numbers on their way into a model: normalised, and as quantile buckets.

The dataset stores raw values and the spread that they had in training; the transform is part of the
model's graph, so that serving takes raw values too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from data.errors import InputError
from data.feature import Feature, NumericStatistics, Transform


def statistics_of(feature: Feature) -> NumericStatistics:
    """Returns the spread of a numeric feature.

    Raises:
        InputError: The dataset does not state it.
    """
    if feature.statistics is None:
        raise InputError(
            f"The numeric feature '{feature.name}' must have statistics in schema.json",
            received="none",
            action="Prepare the data again, or leave it out: --set=model.exclude=" + feature.name,
        )
    return feature.statistics


def normalise(
    values: tf.Tensor, features: Sequence[Feature], how: Literal["standardise", "log"]
) -> tf.Tensor:
    """Returns numbers fit for an MLP.

    Args:
        values: Raw values of shape (..., n), float32.
        features: The n features.
        how: `standardise`: (x - mean) / stddev, and 0 where training saw one value only; `log`:
            log(1 + max(x, 0)), the usual preprocessing of Criteo's counts. Features whose schema
            names transforms go through those instead.
    """
    if any(feature.transforms for feature in features):
        columns = zip(tf.unstack(values, axis=-1), features, strict=True)
        return tf.stack([_of_feature(column, f, how) for column, f in columns], axis=-1)
    if how == "log":
        return tf.math.log1p(tf.maximum(values, 0.0))
    spreads = [statistics_of(feature) for feature in features]
    means = np.array([s.mean for s in spreads], np.float32)
    scales = np.array([1 / s.stddev if s.stddev > 0 else 0.0 for s in spreads], np.float32)
    return (values - means) * scales


def _of_feature(
    values: tf.Tensor, feature: Feature, how: Literal["standardise", "log"]
) -> tf.Tensor:
    if feature.transforms:
        return apply_transforms(values, feature.transforms)
    return normalise(values[..., None], [feature], how)[..., 0]


def apply_transforms(values: tf.Tensor, transforms: Sequence[Transform]) -> tf.Tensor:
    """Returns values after some transforms, of the same shape, float32; see `Transform`."""
    for transform in transforms:
        if transform.name == "clip":
            low, high = transform.values
            values = tf.clip_by_value(values, low, high)
        elif transform.name == "log1p":
            values = tf.math.log1p(tf.maximum(values, 0.0))
        else:
            mean, stddev = transform.values
            values = (values - mean) * (1 / stddev if stddev > 0 else 0.0)
    return values


def bucket_boundaries(feature: Feature, buckets: int) -> tuple[float, ...]:
    """Returns the feature's own boundaries, else evenly chosen training quantiles.

    Args:
        feature: A numeric feature.
        buckets: At most how many buckets to make of quantiles.
    """
    if feature.boundaries:
        return feature.boundaries
    quantiles = statistics_of(feature).quantiles
    count = min(buckets - 1, len(quantiles))
    # As the middles of `count` equal stretches: 63 quantiles and 4 buckets give the quartiles.
    places = (np.arange(count) + 1) * (len(quantiles) + 1) / (count + 1) - 1
    return tuple(quantiles[place] for place in np.rint(places).astype(int))


def bucket_ids(values: tf.Tensor, boundaries: Sequence[float]) -> tf.Tensor:
    """Returns how many boundaries are not above each value: ids from 0, int32."""
    return tf.raw_ops.Bucketize(input=values, boundaries=list(boundaries))
