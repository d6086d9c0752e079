"""Learning rates over the steps of a run, the same shape for dense weights and tables."""

from __future__ import annotations

import math

import tensorflow as tf

import models  # noqa: F401  Keras 2 must be chosen before tf.keras is touched.
from configs.base import TrainerConfig
from trainers.fused_adam import FusedAdam


class Schedule(tf.keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up from 0, then a decay to `final_share` of the peak at the last step.

    With t the share of the steps after the warm-up that are done, the decay is 1 - t (`linear`),
    (1 - t)^power (`polynomial`), or (1 + cos(pi t)) / 2 (`cosine`).

    Args:
        peak: Learning rate after the warm-up.
        config: Shape of the schedule.
        total_steps: Steps of the whole run.
    """

    def __init__(self, peak: float, config: TrainerConfig, total_steps: int) -> None:
        super().__init__()
        self._peak = peak
        self._config = config
        self._total_steps = total_steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the learning rate of a step, from 0: scalar, float32."""
        config = self._config
        done = tf.cast(step, tf.float32)
        warm = tf.minimum(1.0, (done + 1.0) / float(config.warmup_steps + 1))
        after = max(1, self._total_steps - config.warmup_steps)
        t = tf.clip_by_value((done - config.warmup_steps) / after, 0.0, 1.0)
        if config.schedule == "constant":
            return self._peak * warm
        if config.schedule == "cosine":
            left = 0.5 * (1.0 + tf.cos(math.pi * t))
        else:
            power = config.schedule_power if config.schedule == "polynomial" else 1.0
            left = tf.pow(1.0 - t, power)
        return self._peak * warm * (config.final_share + (1.0 - config.final_share) * left)

    def get_config(self) -> dict[str, object]:
        """Returns what Keras needs to serialise the schedule."""
        return {
            "peak": self._peak,
            "config": self._config,
            "total_steps": self._total_steps,
        }


def make_dense_optimizer(config: TrainerConfig, total_steps: int) -> tf.keras.optimizers.Optimizer:
    """Returns the Keras optimizer of the dense weights."""
    kinds = {
        "adam": FusedAdam,
        "sgd": tf.keras.optimizers.SGD,
        "adagrad": tf.keras.optimizers.Adagrad,
    }
    schedule = Schedule(config.learning_rate, config, total_steps)
    decay = config.weight_decay or None
    return kinds[config.optimizer](schedule, weight_decay=decay, jit_compile=False)


def make_table_schedule(config: TrainerConfig, total_steps: int) -> Schedule:
    """Returns the learning rate of the embedding tables."""
    return Schedule(config.table_learning_rate or config.learning_rate, config, total_steps)
