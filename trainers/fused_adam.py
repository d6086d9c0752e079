"""Adam on dense weights in one pass over their memory."""

from __future__ import annotations

import tensorflow as tf

import models  # noqa: F401  Keras 2 must be chosen before tf.keras is touched.


class FusedAdam(tf.keras.optimizers.Adam):
    """Keras's Adam (Kingma & Ba 2015, end of section 2) in TensorFlow's fused kernel.

    The same equations, slots and checkpoints; Keras's own takes an operation, and a pass, for each
    of its terms.
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Moves a variable and its two moments by its gradient."""
        index = self._index_dict[self._var_key(variable)]
        steps = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].handle,
            v=self._velocities[index].handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), steps),
            beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), steps),
            lr=tf.cast(self.learning_rate, variable.dtype),
            beta1=tf.cast(self.beta_1, variable.dtype),
            beta2=tf.cast(self.beta_2, variable.dtype),
            epsilon=tf.cast(self.epsilon, variable.dtype),
            grad=gradient,
        )
