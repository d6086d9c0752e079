"""The one training step of every model.

    look up    unique rows of the batch, their vectors, sums of bags
    gradients  of the loss, with respect to those vectors and to the dense weights
    update     the means over the ranks; then the dense weights and the batches' rows, each by
               their own optimizer

Only the middle is compiled when XLA is asked for: lookups, bags, sparse updates and collectives
stay outside, as XLA cannot compile them or would take tables whole.

Legend: B rows, P parts of a batch, N unique rows, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from data.pipeline import Batch
from models.batch_parts import cut, cut_batch
from models.graphs import graph_function
from models.loss_scale import LossScale
from models.rank_updates import exchange_gradients
from models.row_update import RowGradients
from models.tables import Found

if TYPE_CHECKING:
    from models.recommender import Losses, Recommender, Vectors


class LookedUp(NamedTuple):
    """What a step needs of the tables.

    Attributes:
        found: Where the vectors are.
        rows: Vectors of the unique rows by stack, (N, D), float32.
        bags: Sums of the bags by feature, (B, D), float32.
    """

    found: Found
    rows: Vectors
    bags: Vectors


class Gradients(NamedTuple):
    """What the compiled part of a step returns.

    Attributes:
        losses: Scalars to log by name, float32.
        rows: Gradients of the vectors by stack, (N, D), float32.
        bags: Gradients of the sums of bags by feature, (B, D), float32.
        dense: Gradients of the dense weights.
    """

    losses: Losses
    rows: Vectors
    bags: Vectors
    dense: list[tf.Tensor]


class _Inputs(NamedTuple):
    """What the compiled part of a step takes, beside the batch.

    Attributes:
        rows: Vectors of the unique rows by stack, (N, D), float32.
        places: Place of each id among them, by feature.
        bags: Sums of the bags by feature, (B, D), float32.
        scale: What the loss is multiplied with before gradients are taken; None for nothing.
    """

    rows: Vectors
    places: dict[str, tf.Tensor]
    bags: Vectors
    scale: tf.Tensor | None


@dataclass(frozen=True)
class StepOptions:
    """How a step is taken.

    Attributes:
        table_rate: Returns the learning rate of the tables; None takes the dense optimizer's.
        xla: Whether to compile the dense part with XLA.
        parts: Parts that a batch is taken in, one after the other, whose gradients are summed
            before the one update: activations of one part are held at a time.
    """

    table_rate: Callable[[], tf.Tensor] | None = None
    xla: bool = False
    parts: int = 1


class TrainingStep:
    """Takes steps with a model.

    Args:
        model: A model whose dense optimizer and table slots are built.
        options: How.
    """

    def __init__(self, model: Recommender, options: StepOptions) -> None:
        self._model = model
        self._options = options
        self._names: list[str] = []
        # An attribute of the model, so that checkpoints hold it.
        model.loss_scale = LossScale() if model.compute_dtype == "float16" else None
        gradients = self._gradients if options.parts == 1 else self._gradients_by_parts
        # The number of unique rows differs from batch to batch, except where XLA has them padded.
        self._compiled = graph_function(
            gradients, jit_compile=options.xla or None, reduce_retracing=not options.xla
        )

    def __call__(self, batch: Batch) -> Losses:
        """Takes one step. Returns scalars to log, float32: losses and gradient norms."""
        looked_up = self.look_up(batch)
        return self.update(looked_up, self.gradients(batch, looked_up))

    def look_up(self, batch: Batch) -> LookedUp:
        """Finds and reads the batch's rows of the tables, each once."""
        tables = self._model.tables
        found = tables.find(self._model.lookups(batch), padded=self._options.xla)
        rows = tables.gather_rows(found)
        return LookedUp(found, rows, tables.sum_bags(rows, found))

    def gradients(self, batch: Batch, looked_up: LookedUp) -> Gradients:
        """Returns losses and gradients; those of `float16` are scaled by `model.loss_scale`."""
        found, rows, bags = looked_up
        # Rows that only bags look up have no static number, and XLA has no use for them.
        tables = self._model.tables
        expanded = {key: rows[key] for key in {tables.key_of(name) for name in found.places}}
        scale = self._model.loss_scale.value() if self._model.loss_scale else None
        inputs = _Inputs(expanded, found.places, bags, scale)
        return Gradients(*self._compiled(self._model.dense_inputs(batch), inputs))

    def update(self, looked_up: LookedUp, gradients: Gradients) -> Losses:
        """Lets the optimizers apply the gradients of all ranks. Returns scalars to log."""
        tables = self._model.tables
        rows = tables.add_bag_gradients(looked_up.found, gradients.rows, gradients.bags)
        # Scaled as they are, for in float16 on the wire small ones would be zero.
        of_rows = exchange_gradients(tables, looked_up.found, looked_up.rows, rows)
        dense = gradients.dense
        if dense:
            dense = tables.communicator.all_reduce_mean(dense)
        losses = dict(gradients.losses)
        losses["gradient_norm/dense"] = tf.linalg.global_norm(gradients.dense)
        losses["gradient_norm/tables"] = tf.linalg.global_norm(list(rows.values()))
        if self._model.loss_scale:
            return self._apply_scaled(of_rows, dense, losses, self._model.loss_scale)
        self._apply(of_rows, dense)
        return losses

    def _apply_scaled(
        self,
        of_rows: dict[str, RowGradients],
        dense: list[tf.Tensor],
        losses: Losses,
        loss_scale: LossScale,
    ) -> Losses:
        """Applies scaled gradients, or skips dense weights and tables alike on an overflow."""
        norms = {name: value for name, value in losses.items() if name.startswith("gradient_")}
        # A sum over the ranks may overflow, and so may the wire, where no rank's own gradients do.
        arrived = (dense, [gradients for _, gradients, _ in of_rows.values()])
        checked = [*norms.values(), *(tf.linalg.global_norm(part) for part in arrived)]
        mine = tf.reduce_all(tf.math.is_finite(tf.stack(checked)))
        # All ranks skip or none does, or their weights would drift apart.
        unfit = self._model.tables.communicator.all_reduce_sum(tf.cast(~mine, tf.float32))
        finite = tf.equal(unfit, 0.0)
        by = 1.0 / loss_scale.value()

        def apply() -> tf.Tensor:
            unscaled = {k: r._replace(gradients=r.gradients * by) for k, r in of_rows.items()}
            self._apply(unscaled, [gradient * by for gradient in dense])
            return tf.constant(0.0)

        overflow = tf.cond(finite, apply, lambda: tf.constant(1.0))
        # A skipped step has no norm that means anything, and it is no reason to stop.
        losses.update({n: tf.where(finite, norm * by, 0.0) for n, norm in norms.items()})
        losses["loss_scale/overflow"] = overflow
        losses["loss_scale/scale"] = loss_scale.value()
        loss_scale.update(finite)
        return losses

    def _apply(self, of_rows: dict[str, RowGradients], dense: list[tf.Tensor]) -> None:
        model, options = self._model, self._options
        optimizer = model.optimizer
        rate = options.table_rate() if options.table_rate else optimizer.learning_rate
        optimizer.apply_gradients(zip(dense, model.trainable_variables, strict=True))
        if not dense:  # Keras then counts no step, and schedules would stand still
            optimizer.iterations.assign_add(1)
        model.tables.apply_gradients(of_rows, tf.cast(rate, tf.float32))

    def _gradients(self, batch: Batch, inputs: _Inputs) -> Gradients:
        rows, places, bags, scale = inputs
        model = self._model
        variables = model.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch((rows, bags, variables))
            vectors = {**model.vectors(rows, places), **bags}
            losses = model.loss_from_vectors(batch, vectors, True)
            target = losses["loss"] if scale is None else losses["loss"] * scale
        of_rows, of_bags, of_dense = tape.gradient(target, (rows, bags, variables))
        of_rows = {n: tf.convert_to_tensor(slices) for n, slices in of_rows.items()}
        return Gradients(losses, of_rows, of_bags, of_dense)

    def _gradients_by_parts(self, batch: Batch, inputs: _Inputs) -> Gradients:
        """Returns what `_gradients` does, from the mean over equal parts of the batch."""
        rows, places, bags, scale = inputs
        parts = self._options.parts
        all_batches = cut_batch(batch, parts)
        all_bags = {name: cut(values, parts) for name, values in bags.items()}
        shared = self._model.shared_lookups
        all_places = {n: cut(p, parts) for n, p in places.items() if n not in shared}
        of_bags = {name: tf.TensorArray(tf.float32, parts) for name in bags}
        sums = (
            {key: tf.zeros_like(values) for key, values in rows.items()},
            [tf.zeros_like(variable) for variable in self._model.trainable_variables],
        )

        def take(index: tf.Tensor, sums: Any, of_bags: Any, losses: tf.TensorArray) -> Any:
            own = {**places, **{n: p[index] for n, p in all_places.items()}}
            part, some = ({n: v[index] for n, v in c.items()} for c in (all_batches, all_bags))
            got = self._gradients(part, _Inputs(rows, own, some, scale))
            self._names = list(got.losses)
            sums = tf.nest.map_structure(tf.add, sums, (got.rows, got.dense))
            of_bags = {n: array.write(index, got.bags[n]) for n, array in of_bags.items()}
            losses = losses.write(index, tf.stack(list(got.losses.values())))
            return index + 1, sums, of_bags, losses

        start = (0, sums, of_bags, tf.TensorArray(tf.float32, parts))
        # One after the other: side by side, all parts' activations would be held at once.
        _, sums, of_bags, losses = tf.while_loop(
            lambda index, *_: index < parts, take, start, parallel_iterations=1
        )
        means = tf.unstack(tf.reduce_mean(losses.stack(), axis=0), num=len(self._names))
        of_rows, dense = tf.nest.map_structure(lambda total: total / parts, sums)
        of_bags = {
            name: tf.reshape(array.stack(), bags[name].shape) / parts
            for name, array in of_bags.items()
        }
        return Gradients(dict(zip(self._names, means, strict=True)), of_rows, of_bags, dense)
