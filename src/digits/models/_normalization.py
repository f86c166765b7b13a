"""Batch normalization that trains in half the time of Keras's layer."""

import keras
import tensorflow as tf


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras's layer over the last axis, with TensorFlow's fused operation in training.

    Keras 3 normalizes in a dozen separate float32 operations, in mixed precision too. Weights and
    inference are unchanged, so the layer can be saved as a `BatchNormalization`.
    """

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        """From float (n, height, width, channels) to the same shape and dtype."""
        if not training:
            return super().call(inputs, training=False, mask=mask)
        on_several = tf.distribute.get_strategy().num_replicas_in_sync > 1
        normalize = self._over_devices if on_several else self._fused
        outputs, mean, variance = normalize(inputs)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + batch * (1 - self.momentum))
        return outputs

    def _fused(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The outputs, and the mean and the unbiased variance of each channel."""
        fused: tuple[tf.Tensor, tf.Tensor, tf.Tensor] = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            tf.convert_to_tensor(self.gamma),
            tf.convert_to_tensor(self.beta),
            epsilon=self.epsilon,
            is_training=True,
        )
        return fused

    def _over_devices(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The same over the whole batch, of which each device has a part."""
        device, axes = tf.distribute.get_replica_context(), (0, 1, 2)
        values = tf.cast(inputs, tf.float32)
        count = device.all_reduce("SUM", tf.reduce_sum(tf.ones_like(values), axes))
        mean = device.all_reduce("SUM", tf.reduce_sum(values, axes)) / count
        squares = device.all_reduce("SUM", tf.reduce_sum((values - mean) ** 2, axes))
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        outputs = tf.nn.batch_normalization(
            values, mean, squares / count, beta, gamma, self.epsilon
        )
        return tf.cast(outputs, inputs.dtype), mean, squares / tf.maximum(count - 1, 1)
