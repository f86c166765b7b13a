"""Batch normalization that trains in half the time of Keras's layer."""

import keras
import tensorflow as tf


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras's layer over the last axis, with TensorFlow's fused operation in training.

    Keras 3 normalizes in a dozen separate float32 operations, in mixed precision too. Weights and
    inference are unchanged, so the layer can be saved as a `BatchNormalization`.
    """

    def call(
        self,
        inputs: tf.Tensor,
        training: bool | None = None,
        mask: tf.Tensor | None = None,
    ) -> tf.Tensor:
        if not training:
            return super().call(inputs, training=False, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            tf.convert_to_tensor(self.gamma),
            tf.convert_to_tensor(self.beta),
            epsilon=self.epsilon,
            is_training=True,
        )
        self._update(self.moving_mean, mean)
        self._update(self.moving_variance, variance)
        return outputs

    def _update(self, average: keras.Variable, value: tf.Tensor) -> None:
        average.assign(average * self.momentum + value * (1 - self.momentum))
