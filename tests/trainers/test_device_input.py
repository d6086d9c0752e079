"""Batches that are copied to a device ahead of their step; a second CPU stands for a GPU."""

from __future__ import annotations

import subprocess
import sys

import tensorflow as tf

from trainers.device_input import computing_device, copied_ahead

# Devices can only be made before TensorFlow is first used.
_PROGRAM = """
import tensorflow as tf
from trainers.device_input import copied_ahead
one, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(one, [tf.config.LogicalDeviceConfiguration()] * 2)
batches = tf.data.Dataset.range(12).batch(3).map(lambda n: {"id": tf.cast(n, tf.int32)})
copied = copied_ahead(batches, "/CPU:1")
found = [batch["id"] for batch in copied]
assert all(part.device.endswith("CPU:1") for part in found), found[0].device
print([part.numpy().tolist() for part in found])

@tf.function
def sum_of(batches, count):
    more = lambda index, total: (index + 1, total + tf.reduce_sum(batches.get_next()["id"]))
    return tf.while_loop(lambda index, _: index < count, more, (0, 0))[1]

rest = iter(copied)
print(int(sum_of(rest, tf.constant(3))), int(sum_of(rest, tf.constant(1))))
"""


def test_batches_come_in_order_on_the_device_in_and_out_of_graphs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == [
        "[[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]",
        "36 30",
    ]


def test_without_a_gpu_batches_stay_where_they_are() -> None:
    batches = tf.data.Dataset.range(3)
    assert computing_device() is None or tf.config.list_physical_devices("GPU")
    assert copied_ahead(batches, None) is batches
