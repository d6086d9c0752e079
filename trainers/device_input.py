"""Batches on the device that computes, copied there while the step before runs."""

from __future__ import annotations

import tensorflow as tf

_AHEAD = 2  # batches: one that is trained on, one that is copied


def computing_device() -> str | None:
    """Returns the name of this process's GPU; None where steps run on the CPU."""
    gpus = tf.config.list_logical_devices("GPU")
    return gpus[0].name if gpus else None


def copied_ahead(batches: tf.data.Dataset, device: str | None) -> tf.data.Dataset:
    """Returns batches that lie in a device's memory when they are asked for.

    Args:
        batches: In the host's memory; nothing may follow in the pipeline.
        device: Name of the device; None leaves them where they are.
    """
    if device is None:
        return batches
    return batches.apply(tf.data.experimental.prefetch_to_device(device, _AHEAD))
