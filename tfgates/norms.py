"""Batch norm that multiplies its output by a decision, at the price of the norm alone."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfgates")
class GatedNormalization(keras.layers.BatchNormalization):
    """The batch norm that ends a residual branch: z * (gamma * normalized + beta).

    The decision z scales gamma and beta, image by image, instead of every pixel of the branch: the
    gate then adds no pass over the features, neither forward nor backward.

    Args:
        synchronized: moments over all replicas instead of over each one's share.
        momentum, epsilon: of batch norm.
        relu: whether a ReLU comes before the decision: z * ReLU(gamma * normalized + beta). Were it
            behind, a closed decision would get no gradient.

    Call arguments:
        inputs: [B, H, W, C].
        decisions: [B], or [B, groups] of groups of neighbouring filters, as large as each other;
            None leaves the output as it is.
        training: whether to use, and to learn, the moments of the batch.

    Returns, when called: features of the shape of the inputs.
    """

    def __init__(self, synchronized=False, momentum=0.9, epsilon=1e-5, relu=False, **kwargs):
        # Decisions stay in float32: half precision would round those that are no 0 or 1.
        super().__init__(
            synchronized=synchronized,
            momentum=momentum,
            epsilon=epsilon,
            axis=-1,
            autocast=False,
            **kwargs,
        )
        self.relu = relu

    def call(self, inputs, decisions=None, training=False):
        if decisions is None:
            normalized = super().call(inputs, training=training)
            return ops.relu(normalized) if self.relu else normalized
        # Half precision is too coarse for moments, as in Keras's own batch norm.
        features = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        mean, variance = self.moving_mean, self.moving_variance
        if training and self.trainable:
            mean, variance = ops.moments(features, axes=(0, 1, 2), synchronized=self.synchronized)
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        scale = self.gamma * ops.rsqrt(variance + self.epsilon)
        shift = self.beta - mean * scale
        decisions = ops.cast(decisions, features.dtype)
        if len(decisions.shape) == 2:
            channels = features.shape[-1] // decisions.shape[1]
            decisions = ops.repeat(decisions, channels, axis=1)[:, None, None, :]
        else:
            decisions = ops.reshape(decisions, (-1, 1, 1, 1))
        if self.relu:
            opened = decisions * ops.relu(features * scale + shift)
        else:
            opened = features * (decisions * scale) + decisions * shift
        return ops.cast(opened, self.compute_dtype)

    def get_config(self):
        return {
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
            "trainable": self.trainable,
            "synchronized": self.synchronized,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "relu": self.relu,
        }
