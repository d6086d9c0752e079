"""Dense weights of a trained model into one whose vocabularies have other ids."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from data.errors import InputError
from data.renumbering import Renumbering
from data.schema import FIRST_ID
from models.id_axis import IdAxis
from models.recommender import Recommender


def transfer_dense(
    model: Recommender, trained: Recommender, ids: Mapping[str, Renumbering]
) -> None:
    """Sets dense weights to trained ones; entries of ids that are new keep their initial values.

    Args:
        model: Freshly built.
        trained: A model of the same settings.
        ids: By feature, what became of the ids that `trained` has.

    Raises:
        InputError: Weights of other shapes.
    """
    axes = {id(axis.weight): axis for axis in model.id_axes()}
    ours, theirs = model.trainable_variables, trained.trainable_variables
    shapes = [_shapes(model), _shapes(trained)]
    if shapes[0] != shapes[1]:
        raise InputError(
            "A warm start needs dense weights of the same shapes",
            received=f"{len(ours)} weights {shapes[0]}, trained {len(theirs)} {shapes[1]}",
            action="Use the model settings of the run to start from",
        )
    for mine, other in zip(ours, theirs, strict=True):
        axis = axes.get(id(mine))
        mine.assign(other if axis is None else _moved(axis, other, ids[axis.feature]))
    model.keep_hashes(trained, ids)


def _shapes(model: Recommender) -> list[list[int | None]]:
    """Returns the shapes of the trained weights, None where ids decide."""
    by_id = {id(axis.weight): axis.axis for axis in model.id_axes()}
    return [
        [None if n == by_id.get(id(weight)) else size for n, size in enumerate(weight.shape)]
        for weight in model.trainable_variables
    ]


def _moved(axis: IdAxis, trained: tf.Variable, ids: Renumbering) -> np.ndarray:
    values = axis.weight.numpy()
    places = ids.new_of_old[FIRST_ID:] - FIRST_ID
    kept = places >= 0
    entries = np.moveaxis(values, axis.axis, 0)  # a view, through which values are set
    entries[places[kept]] = np.moveaxis(trained.numpy(), axis.axis, 0)[kept]
    return values
