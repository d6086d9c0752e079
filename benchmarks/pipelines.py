"""Input pipelines alone: ours, and those that tutorials show, on the same rows.

Run as `python -m benchmarks.pipelines TASK.json`; see `benchmarks.peers.timing` for the task.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

import models  # noqa: F401  Keras 2 must be chosen before tf.keras is touched.
from benchmarks.peers import row_examples, timing
from benchmarks.peers.timing import Task
from data.dataset import PreparedDataset
from data.pipeline import Transform, make_dataset
from data.reading import Reading
from data.sampling import make_negatives

_SHUFFLED_BATCHES = 10


def blocks(task: Task) -> Iterator[Any]:
    """Yields our batches, epoch after epoch, each in another order."""
    data = PreparedDataset(task.model["prepared"])
    transforms: list[Transform] = []
    if task.model["how"] == "negatives":
        transforms = [make_negatives(data, ("train",), task.model["negatives"])]
    reading = Reading("rows", ("train",), task.batch_size, shuffle=True)
    for epoch in range(1_000_000):
        yield from make_dataset(data, reading, transforms, seed=task.seed, epoch=epoch)


def rows(task: Task, folder: Path) -> Iterator[Any]:
    """Yields batches of a `tf.Example` a row, parsed a batch or a row at a time."""
    file, how = folder / "rows.tfrecord", task.model["how"]
    if how == "packed":
        _, numbers = row_examples.write(task, file)
        return iter(row_examples.read(task, file, numbers))
    spec = write_columns(task, file)
    dataset = tf.data.TFRecordDataset(str(file)).shuffle(_SHUFFLED_BATCHES * task.batch_size)
    if how == "parse_single_example":
        dataset = dataset.repeat().map(lambda row: tf.io.parse_single_example(row, spec))
        return iter(dataset.batch(task.batch_size).prefetch(tf.data.AUTOTUNE))
    batches = dataset.repeat().batch(task.batch_size)
    parsed = batches.map(lambda b: tf.io.parse_example(b, spec), tf.data.AUTOTUNE)
    return iter(parsed.prefetch(tf.data.AUTOTUNE))


def write_columns(task: Task, file: Path) -> dict[str, tf.io.FixedLenFeature]:
    """Writes rows with a feature for each column, as tutorials do. Returns how to parse them."""
    arrays = [task.array(name) for name in ("numbers", "ids", "labels")]
    steps = task.warmup_steps + task.steps
    numbers, ids, labels = (array[: steps * task.batch_size] for array in arrays)
    names = [f"I{n}" for n in range(numbers.shape[1])], [f"C{n}" for n in range(ids.shape[1])]
    with tf.io.TFRecordWriter(str(file)) as writer:
        for floats, integers, label in zip(numbers.tolist(), ids.tolist(), labels, strict=True):
            feature = {n: _feature(float_list=x) for n, x in zip(names[0], floats, strict=True)}
            feature |= {n: _feature(int64_list=i) for n, i in zip(names[1], integers, strict=True)}
            feature["label"] = _feature(float_list=float(label))
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
    spec = {name: tf.io.FixedLenFeature([], tf.float32) for name in ("label", *names[0])}
    return spec | {name: tf.io.FixedLenFeature([], tf.int64) for name in names[1]}


def _feature(float_list: float | None = None, int64_list: int | None = None) -> tf.train.Feature:
    if int64_list is not None:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[int64_list]))
    return tf.train.Feature(float_list=tf.train.FloatList(value=[float_list]))


def main(path: str) -> None:
    """Measures and prints."""
    task = timing.read_task(path)
    tf.random.set_seed(task.seed)
    with tempfile.TemporaryDirectory() as folder:
        is_ours = task.model["how"] in ("blocks", "negatives")
        batches = blocks(task) if is_ours else rows(task, Path(folder))

        def take() -> float:
            next(batches)
            return 0.0

        measured = timing.measure(task, take)
    examples = task.batch_size * (1 + task.model.get("negatives", 0))
    timing.print_result(task, measured, examples, ("tensorflow",))


if __name__ == "__main__":
    main(sys.argv[1])
