"""Folds a chain of Keras layers into few TensorFlow operations on constant weights.

Batch norm at inference is an affine map of each channel, so it folds into the convolution or dense
layer before it; zeros around an image become the padding of the convolution after them. Weights are
constants of the graph by default, which oneDNN prepares once instead of at every call.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.ops import convert_to_numpy

from tfgates.filters import PlaceGroups

Operation = Callable[[tf.Tensor], tf.Tensor]
# Options of the layers that are folded; other values would fold to wrong numbers.
PLAIN = {
    "activation": keras.activations.linear,
    "dilation_rate": (1, 1),
    "groups": 1,
    "data_format": "channels_last",
    "keepdims": False,
    "max_value": None,
    "negative_slope": 0.0,
    "threshold": 0.0,
}


@dataclasses.dataclass(frozen=True)
class Affine:
    """A convolution or a dense layer with a bias.

    Attributes:
        kernel: [h, w, in, out] of a convolution or [in, out] of a dense layer; float32.
        bias: [out], float32.
        strides: of a convolution; None makes it a dense layer.
        padding: "SAME", "VALID", or zeros before and after each axis, as of `tf.nn.conv2d`.
    """

    kernel: Any
    bias: Any
    strides: tuple[int, int] | None = None
    padding: Any = "VALID"

    def __call__(self, inputs):
        if self.strides is None:
            return tf.nn.bias_add(tf.matmul(inputs, self.kernel), self.bias)
        outputs = tf.nn.conv2d(inputs, self.kernel, self.strides, self.padding)
        return tf.nn.bias_add(outputs, self.bias)

    def normalized(self, norm):
        """Returns this layer followed by the `keras.layers.BatchNormalization` at inference."""
        mean, variance = convert_to_numpy(norm.moving_mean), convert_to_numpy(norm.moving_variance)
        scale = (convert_to_numpy(norm.gamma) if norm.scale else 1.0) / np.sqrt(
            variance + norm.epsilon
        )
        shift = (convert_to_numpy(norm.beta) if norm.center else 0.0) - mean * scale
        return dataclasses.replace(
            self,
            kernel=np.asarray(self.kernel * scale, "float32"),
            bias=np.asarray(self.bias * scale + shift, "float32"),
        )


@dataclasses.dataclass(frozen=True)
class Padding:
    """Zeros before and after each of the four axes."""

    paddings: list

    def __call__(self, features):
        return tf.pad(features, self.paddings)


def fold(layers, place=np.asarray):
    """Folds Keras layers that are applied one after the other.

    Args:
        layers: list of Rescaling, Conv2D, Dense, BatchNormalization, ReLU, ZeroPadding2D,
            MaxPooling2D, GlobalAveragePooling2D and `PlaceGroups` layers.
        place: function of a weight, a NumPy array, that returns what the graph reads. An array
            becomes a constant right where it is read, a `tf.Variable` stands beside the graph.

    Returns:
        A function of a float32 tensor that equals the layers at inference.

    Raises:
        TypeError: a layer of another kind or with options that are not folded, or a batch norm
            that follows no convolution or dense layer.
    """
    operations: list[Operation] = []
    for layer in layers:
        previous = operations[-1] if operations else None
        if isinstance(layer, keras.layers.BatchNormalization) and isinstance(previous, Affine):
            operations[-1] = previous.normalized(layer)
            if getattr(layer, "relu", False):
                operations.append(tf.nn.relu)
            continue
        operation = _operation(layer)
        if (
            isinstance(previous, Padding)
            and isinstance(operation, Affine)
            and operation.padding == "VALID"
        ):
            operations[-1] = dataclasses.replace(operation, padding=previous.paddings)
        else:
            operations.append(operation)
    return chain(operations, place)


def chain(operations, place=np.asarray):
    """Applies operations one after the other; see `fold`."""
    placed = [
        dataclasses.replace(step, kernel=place(step.kernel), bias=place(step.bias))
        if isinstance(step, Affine)
        else step
        for step in operations
    ]

    def run(inputs):
        for step in placed:
            inputs = step(inputs)
        return inputs

    return run


def _operation(layer) -> Operation:
    for name, plain in PLAIN.items():
        if getattr(layer, name, plain) != plain:
            raise TypeError(
                f"Export folds layers with {name}={plain!r} only. "
                f"Received: {getattr(layer, name)!r} of {layer.name!r}."
            )
    if isinstance(layer, keras.layers.Conv2D):
        kernel, bias = _kernel_and_bias(layer)
        return Affine(kernel, bias, tuple(layer.strides), layer.padding.upper())
    if isinstance(layer, keras.layers.Dense):
        return Affine(*_kernel_and_bias(layer))
    if isinstance(layer, keras.layers.ReLU):
        return tf.nn.relu
    if isinstance(layer, keras.layers.GlobalAveragePooling2D):
        return global_average_pool
    if isinstance(layer, keras.layers.Rescaling):
        scale, offset = (np.asarray(values, "float32") for values in (layer.scale, layer.offset))
        return lambda pixels: pixels * scale + offset
    if isinstance(layer, PlaceGroups):
        return layer.call
    if isinstance(layer, keras.layers.ZeroPadding2D):
        return Padding([(0, 0), *layer.padding, (0, 0)])
    if isinstance(layer, keras.layers.MaxPooling2D):
        size, strides, padding = layer.pool_size, layer.strides, layer.padding.upper()
        return lambda features: tf.nn.max_pool2d(features, size, strides, padding)
    raise TypeError(
        "Export folds Rescaling, Conv2D, Dense, ReLU, ZeroPadding2D, MaxPooling2D, "
        "GlobalAveragePooling2D, and BatchNormalization after a convolution or dense layer. "
        f"Received: {type(layer).__name__} {layer.name!r}."
    )


def _kernel_and_bias(layer):
    kernel = np.asarray(convert_to_numpy(layer.kernel), "float32")
    bias = convert_to_numpy(layer.bias) if layer.use_bias else np.zeros(kernel.shape[-1])
    return kernel, np.float32(bias)


def global_average_pool(features):
    """Averages [B, H, W, C] over the pixels to [B, C]; faster than `reduce_mean` on a CPU."""
    height, width, channels = features.shape[1:]
    pooled = tf.nn.avg_pool2d(features, (height, width), 1, "VALID")
    return tf.reshape(pooled, [-1, channels])
