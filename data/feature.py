"""One quantity of the data: what it means, how it is stored, how its values are spread."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

import numpy as np

QUANTILE_BUCKETS = 64
LABEL, WEIGHT = "label", "weight"  # names of the columns of these kinds


class Kind(str, Enum):
    """What a feature means."""

    LABEL = "label"  # known only after the event; never an input
    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    MULTI_HOT = "multi_hot"
    USER = "user"
    ITEM = "item"
    TIME = "time"
    WEIGHT = "weight"  # of a row in the loss; never an input
    TEXT = "text"  # for people, such as a title; stored as an id


@dataclass(frozen=True)
class NumericStatistics:
    """How the stored values of a numeric feature are spread in training.

    Attributes:
        mean: Mean.
        stddev: Standard deviation of the population; 0 where all values are equal.
        minimum: Smallest value.
        maximum: Largest value.
        quantiles: Boundaries at 1/64, 2/64, ... 63/64 of the values, ascending without repeats.
    """

    mean: float
    stddev: float
    minimum: float
    maximum: float
    quantiles: tuple[float, ...]

    @staticmethod
    def of(values: np.ndarray) -> NumericStatistics | None:
        """Returns the statistics of values of shape (rows,), or None where there are none."""
        if not len(values):
            return None
        exact = values.astype(np.float64)
        shares = np.arange(1, QUANTILE_BUCKETS) / QUANTILE_BUCKETS
        return NumericStatistics(
            mean=float(exact.mean()),
            stddev=float(exact.std()),
            minimum=float(exact.min()),
            maximum=float(exact.max()),
            quantiles=tuple(np.unique(np.quantile(exact, shares)).tolist()),
        )


@dataclass(frozen=True)
class Transform:
    """One step of a number on its way into a model.

    Attributes:
        name: `clip` to [low, high], `log1p`: log(1 + max(x, 0)), or `normalise`: less the mean,
            divided by the standard deviation.
        values: Low and high, nothing, or the mean and standard deviation that were fitted on train.
    """

    name: Literal["clip", "log1p", "normalise"]
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Feature:
    """One quantity of the data, shared by all columns that hold it.

    Attributes:
        name: Unique name.
        kind: What it means.
        dtype: Type of the stored values: `float32`, `int32` or `int64`.
        cardinality: For ids, one more than the largest id: padding (0) and
            out-of-vocabulary (1) count.
        vocabulary: For ids, the file of raw ids, relative to the dataset's folder.
        raw_dtype: For ids, the type of the raw id in the source: `string` or `int64`.
        default: Stored value where the source has none.
        statistics: Of numeric features, the spread of the stored values in training.
        transforms: Of numeric features, what the stored values go through on their way into a
            model, in training and in serving; empty leaves it to the model's settings.
        boundaries: Of numeric features, ascending boundaries of the buckets that make it a category
            too; empty leaves it to the model's settings.
        hash_buckets: For ids without a vocabulary: an id is 2 + the hash of the raw id modulo this.
    """

    name: str
    kind: Kind
    dtype: str
    cardinality: int | None = None
    vocabulary: str | None = None
    raw_dtype: str | None = None
    default: float | int | None = None
    statistics: NumericStatistics | None = None
    transforms: tuple[Transform, ...] = ()
    boundaries: tuple[float, ...] = ()
    hash_buckets: int | None = None
