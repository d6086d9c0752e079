"""DLRM by TensorFlow Recommenders: its Ranking model with dot products, fitted by Keras.

The tables are those of TPUEmbedding, which its authors use on processors too, with one optimizer,
the dense weights have another; a CompositeOptimizer joins both. None of Ranking's metrics are kept.
Run as `python -m benchmarks.peers.tfrs_ranking TASK.json`.
"""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # the one that TFRS is for

import tensorflow as tf
import tensorflow_recommenders as tfrs

from benchmarks.peers import keras_parts, row_examples
from benchmarks.peers.timing import Task

_OPTIMIZERS = {
    "adam": tf.keras.optimizers.legacy.Adam,
    "adagrad": tf.keras.optimizers.legacy.Adagrad,
    "sgd": tf.keras.optimizers.legacy.SGD,
}


def make_model(task: Task, numbers: int) -> tf.keras.Model:
    """Returns the compiled model of a task; how many `numbers` a row has shows at the first."""
    del numbers
    sizes, rates = task.model, task.optimizer
    of_tables = _OPTIMIZERS[rates.tables](rates.table_rate)
    model = tfrs.experimental.models.Ranking(
        embedding_layer=tfrs.layers.embedding.TPUEmbedding(_features(sizes), of_tables),
        bottom_stack=tfrs.layers.blocks.MLP(sizes["bottom"], final_activation="relu"),
        feature_interaction=tfrs.layers.feature_interaction.DotInteraction(),
        top_stack=tf.keras.Sequential(
            [
                tfrs.layers.blocks.MLP([*sizes["top"], 1]),
                tf.keras.layers.Activation("sigmoid", dtype="float32"),
            ]
        ),
        task=tfrs.tasks.Ranking(
            tf.keras.losses.BinaryCrossentropy(reduction=tf.keras.losses.Reduction.NONE)
        ),
    )
    of_dense = _OPTIMIZERS[rates.dense](rates.dense_rate)
    model.compile(
        tfrs.experimental.optimizers.CompositeOptimizer(
            [
                (of_tables, lambda: model.embedding_trainable_variables),
                (of_dense, lambda: model.dense_trainable_variables),
            ]
        )
    )
    return model


def _features(sizes: dict[str, Any]) -> dict[str, tf.tpu.experimental.embedding.FeatureConfig]:
    """Returns the configuration of the categories, by name."""
    names, tpu = row_examples.names_of_ids(len(sizes["cardinalities"])), tf.tpu.experimental
    return {
        name: tpu.embedding.FeatureConfig(
            tpu.embedding.TableConfig(rows, sizes["dim"], combiner="mean", name=name), name=name
        )
        for name, rows in zip(names, sizes["cardinalities"], strict=True)
    }


if __name__ == "__main__":
    packages = ("tensorflow-recommenders",)
    keras_parts.run(sys.argv[1], make_model, logs_means=False, packages=packages)
