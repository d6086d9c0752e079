"""Optimizers for embedding tables: each touches the batch's unique rows only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import tensorflow as tf

from data.errors import InputError, nearest
from models.row_update import RowUpdate, Slots, subtract_rows


def _adagrad(
    table: tf.Variable,
    accumulator: tf.Variable,
    update: RowUpdate,
    squares: tf.Tensor,
    epsilon: float,
) -> None:
    total = tf.gather(accumulator, update.rows) + squares
    accumulator.scatter_update(tf.IndexedSlices(total, update.rows))
    step = (update.learning_rate * update.gradients) / (tf.sqrt(total) + epsilon)
    subtract_rows(table, update, step)


class TableOptimizer(ABC):
    """Updates some rows of a table in place.

    Attributes:
        needs_float32: Whether it updates tables of this type alone.
    """

    needs_float32: ClassVar[bool] = False

    def slot_shapes(self, rows: int, dim: int) -> dict[str, tuple[int, int]]:
        """Returns the shape of each slot of a table, one slot row a table row."""
        del rows, dim
        return {}

    def slot_start(self, slot: str) -> float:
        """Returns the initial value of a slot."""
        del slot
        return 0.0

    @abstractmethod
    def apply(self, table: tf.Variable, slots: Slots, update: RowUpdate) -> None:
        """Updates the rows of `table`, of shape (rows, dim), and of its slots."""


class SGD(TableOptimizer):
    """Stochastic gradient descent."""

    def apply(self, table: tf.Variable, slots: Slots, update: RowUpdate) -> None:
        """Subtracts the gradients times the learning rate."""
        del slots
        subtract_rows(table, update, update.learning_rate * update.gradients)


class Adagrad(TableOptimizer):
    """Adagrad (Duchi et al. 2011).

    Not by TensorFlow's fused kernel for rows, which runs on one thread.

    Args:
        initial_accumulator: Initial sum of squared gradients.
        epsilon: Added to the square root.
    """

    def __init__(self, initial_accumulator: float = 0.1, epsilon: float = 1e-7) -> None:
        self._initial_accumulator = initial_accumulator
        self._epsilon = epsilon

    def slot_shapes(self, rows: int, dim: int) -> dict[str, tuple[int, int]]:
        """Returns one accumulator an element."""
        return {"accumulator": (rows, dim)}

    def slot_start(self, slot: str) -> float:
        """Returns the accumulators' initial value."""
        return self._initial_accumulator

    def apply(self, table: tf.Variable, slots: Slots, update: RowUpdate) -> None:
        """Adds the squares, then steps by gradient / (sqrt(accumulator) + epsilon)."""
        squares = tf.square(update.gradients)
        _adagrad(table, slots["accumulator"], update, squares, self._epsilon)


class RowWiseAdagrad(TableOptimizer):
    """Adagrad with one accumulator a row: the mean square of the row's gradient.

    As in FBGEMM and the DLRM reference; a slot of 4 bytes a row instead of 4 an element.
    """

    def __init__(self, initial_accumulator: float = 0.0, epsilon: float = 1e-7) -> None:
        self._initial_accumulator = initial_accumulator
        self._epsilon = epsilon

    def slot_shapes(self, rows: int, dim: int) -> dict[str, tuple[int, int]]:
        """Returns one accumulator a row."""
        return {"accumulator": (rows, 1)}

    def slot_start(self, slot: str) -> float:
        """Returns the accumulators' initial value."""
        return self._initial_accumulator

    def apply(self, table: tf.Variable, slots: Slots, update: RowUpdate) -> None:
        """Adds the mean squares, then steps by gradient / (sqrt(accumulator) + epsilon)."""
        squares = tf.reduce_mean(tf.square(update.gradients), axis=1, keepdims=True)
        _adagrad(table, slots["accumulator"], update, squares, self._epsilon)


class LazyAdam(TableOptimizer):
    """Adam (Kingma & Ba 2015) on the batch's rows; other rows' moments do not decay.

    Args:
        beta_1: Decay of the mean.
        beta_2: Decay of the mean square.
        epsilon: Added to the square root ("epsilon hat" of section 2).
    """

    def __init__(self, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7) -> None:
        self._beta_1 = beta_1
        self._beta_2 = beta_2
        self._epsilon = epsilon

    def slot_shapes(self, rows: int, dim: int) -> dict[str, tuple[int, int]]:
        """Returns both moments."""
        return {"mean": (rows, dim), "mean_square": (rows, dim)}

    def apply(self, table: tf.Variable, slots: Slots, update: RowUpdate) -> None:
        """Moves the rows' moments, then steps by the bias-corrected ratio."""
        rows, gradients = update.rows, update.gradients
        mean = tf.gather(slots["mean"], rows)
        mean += (1.0 - self._beta_1) * (gradients - mean)
        square = tf.gather(slots["mean_square"], rows)
        square += (1.0 - self._beta_2) * (tf.square(gradients) - square)
        slots["mean"].scatter_update(tf.IndexedSlices(mean, rows))
        slots["mean_square"].scatter_update(tf.IndexedSlices(square, rows))
        time = tf.cast(update.step, tf.float32)
        correction = tf.sqrt(1.0 - self._beta_2**time) / (1.0 - self._beta_1**time)
        rate = update.learning_rate * correction
        subtract_rows(table, update, rate * mean / (tf.sqrt(square) + self._epsilon))


class FTRL(TableOptimizer):
    """FTRL-Proximal (McMahan et al. 2013, algorithm 1), in TensorFlow's fused kernel.

    A weight whose accumulated gradient stays within `l1` is exactly zero, so rare categories cost
    nothing at serving.

    Args:
        l1: Weight of the absolute values.
        l2: Weight of the squares.
        initial_accumulator: Initial sum of squared gradients.
    """

    needs_float32 = True  # a weight is a function of the slots, and rounding it saves nothing

    def __init__(self, l1: float = 0.0, l2: float = 0.0, initial_accumulator: float = 0.1) -> None:
        self._l1 = l1
        self._l2 = l2
        self._initial_accumulator = initial_accumulator

    def slot_shapes(self, rows: int, dim: int) -> dict[str, tuple[int, int]]:
        """Returns the sums of squared gradients, and the linear terms z."""
        return {"accumulator": (rows, dim), "linear": (rows, dim)}

    def slot_start(self, slot: str) -> float:
        """Returns the slots' initial values."""
        return self._initial_accumulator if slot == "accumulator" else 0.0

    def apply(self, table: tf.Variable, slots: Slots, update: RowUpdate) -> None:
        """Adds to both slots, then sets the rows to the closed-form minimum."""
        tf.raw_ops.ResourceSparseApplyFtrl(
            var=table.handle,
            accum=slots["accumulator"].handle,
            linear=slots["linear"].handle,
            grad=update.gradients,
            indices=update.rows,
            lr=update.learning_rate,
            l1=tf.constant(self._l1),
            l2=tf.constant(self._l2),
            lr_power=tf.constant(-0.5),
        )


TABLE_OPTIMIZERS: dict[str, type[TableOptimizer]] = {
    "sgd": SGD,
    "adagrad": Adagrad,
    "rowwise_adagrad": RowWiseAdagrad,
    "adam": LazyAdam,
    "ftrl": FTRL,
}


def make_table_optimizer(name: str, l1: float = 0.0, l2: float = 0.0) -> TableOptimizer:
    """Returns the table optimizer called `name`.

    Args:
        name: One of `TABLE_OPTIMIZERS`.
        l1: Weight of the absolute values; of `ftrl` only.
        l2: Weight of the squares; of `ftrl` only.

    Raises:
        InputError: No such optimizer, or one that does not regularise.
    """
    if name not in TABLE_OPTIMIZERS:
        raise InputError(
            "The table optimizer must be one of those known",
            received=repr(name),
            action=nearest(name, TABLE_OPTIMIZERS),
        )
    if name == "ftrl":
        return FTRL(l1, l2)
    if l1 or l2:
        raise InputError(
            "Only the table optimizer 'ftrl' takes l1 and l2",
            received=f"'{name}' with l1={l1:g} and l2={l2:g}",
        )
    return TABLE_OPTIMIZERS[name]()
