"""Batch norm times a decision, at the price of the norm alone; batch norm at inference."""

import numpy as np
from keras import ops


def gated_norm(norm, inputs, decisions, training):
    """z * (gamma * normalized + beta): the batch norm that ends a branch, and the decision z.

    The decision scales gamma and beta, image by image, instead of every pixel of the branch: a gate
    then adds no pass over the features, neither forward nor backward.

    Args:
        norm: built `keras.layers.BatchNormalization` over the last axis; its moving moments follow
            the batch in training.
        inputs: features [B, ..., C].
        decisions: [B, groups]; of several groups of neighbouring channels, as large as each other.
        training: whether to use, and to learn, the moments of the batch.

    Returns:
        Features of the shape of the inputs.
    """
    # Half precision is too coarse for moments, as in Keras's own batch norm.
    features = ops.cast(inputs, "float64" if inputs.dtype == "float64" else "float32")
    mean, variance = norm.moving_mean, norm.moving_variance
    if training and norm.trainable:
        axes = tuple(range(len(features.shape) - 1))
        mean, variance = ops.moments(features, axes=axes, synchronized=norm.synchronized)
        for moving, batch in ((norm.moving_mean, mean), (norm.moving_variance, variance)):
            moving.assign(moving * norm.momentum + batch * (1.0 - norm.momentum))
    scale = ops.rsqrt(variance + norm.epsilon)
    scale = norm.gamma * scale if norm.scale else scale
    shift = norm.beta - mean * scale if norm.center else -mean * scale
    mask = as_mask(ops.cast(decisions, features.dtype), features.shape)
    return ops.cast(features * (mask * scale) + mask * shift, norm.compute_dtype)


def as_mask(decisions, shape):
    """Shapes decisions [B, groups] so that they multiply features of a shape (B, ..., C)."""
    groups = decisions.shape[-1]
    if groups > 1:
        decisions = ops.repeat(decisions, shape[-1] // groups, axis=-1)
    return ops.reshape(decisions, (-1, *[1] * (len(shape) - 2), decisions.shape[-1]))


def scale_and_shift(norm):
    """Returns batch norm at inference as an affine map of each channel: x * scale + shift.

    Args:
        norm: built `keras.layers.BatchNormalization`.

    Returns:
        Two NumPy arrays [C].
    """
    mean, variance = map(ops.convert_to_numpy, (norm.moving_mean, norm.moving_variance))
    gamma = ops.convert_to_numpy(norm.gamma) if norm.scale else np.ones_like(mean)
    beta = ops.convert_to_numpy(norm.beta) if norm.center else np.zeros_like(mean)
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return scale, beta - mean * scale
