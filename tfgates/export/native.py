"""The layers that TensorFlow fuses, as operations on constants in the form in which it does.

oneDNN prepares constant weights once instead of at every call.
"""

import functools

import keras
import numpy as np
import tensorflow as tf
from keras.ops import convert_to_numpy

from tfgates.export.stateless import as_it_is
from tfgates.graph.nodes import keras_kind, reads_only_tensors
from tfgates.norms import scale_and_shift

FLOATS = ("float", "bfloat")


def native(node, place, paddings=None):
    """Returns a call as operations in float32 that TensorFlow fuses.

    Args:
        node: call of a layer or an operation, see `tfgates.graph.nodes`.
        place: function of a weight, a NumPy array, that returns what the graph reads.
        paddings: zeros before and after each of the four axes, of a convolution that is padded by
            another layer.

    Returns:
        Function of the tensors that the call reads; None where no rule knows it.
    """
    layer = node.operation
    rule = RULES.get(keras_kind(layer))
    channels_first = getattr(layer, "data_format", None) == "channels_first"
    # Where a number or a mask of another kind is read, Keras says how the kinds are joined.
    floats = all(tensor.dtype.startswith(FLOATS) for tensor in node.input_tensors)
    quantized = getattr(layer, "quantization_mode", None) is not None
    if rule is None or channels_first or quantized or not floats or not reads_only_tensors(node):
        return None
    return rule(node, place) if paddings is None else rule(node, place, paddings)


def average(features):
    """Averages [B, ..., C] over all axes between to [B, C]."""
    if features.shape.rank == 4:
        # Faster than `reduce_mean` on a CPU.
        height, width, channels = features.shape[1:]
        pooled = tf.nn.avg_pool2d(features, (height, width), 1, "VALID")
        return tf.reshape(pooled, [-1, channels])
    return tf.reduce_mean(features, range(1, features.shape.rank - 1))


def dense(kernel, bias):
    """Returns the function x [B, in] -> x @ kernel + bias."""
    return lambda x: tf.nn.bias_add(tf.matmul(x, kernel), bias)


def _convolution(node, place, paddings=None):
    layer, channels = node.operation, node.input_tensors[0].shape[-1]
    if layer.groups == channels > 1 and len(set(layer.strides)) == 1:
        return _depthwise(node, place)
    padding, finish = paddings or layer.padding.upper(), _finish(layer, place)
    kernels = np.split(_float32(layer.kernel), layer.groups, axis=-1)
    convolve = functools.partial(
        tf.nn.conv2d, strides=layer.strides, padding=padding, dilations=layer.dilation_rate
    )
    first, *others = [place(kernel) for kernel in kernels]
    if not others:
        return lambda x: finish(convolve(x, first))

    def of_groups(x):
        # TensorFlow's own grouped convolution fails where it is fused without oneDNN.
        parts = zip(tf.split(x, layer.groups, axis=-1), [first, *others], strict=True)
        return finish(tf.concat([convolve(part, kernel) for part, kernel in parts], -1))

    return of_groups


def _depthwise(node, place):
    """Of `DepthwiseConv2D`, and of `Conv2D` with a group for each channel, which Keras runs by XLA.

    Explicit paddings have no place here: with a bias behind them TensorFlow aborts the process.
    """
    layer, channels = node.operation, node.input_tensors[0].shape[-1]
    kernel, finish = _float32(layer.kernel), _finish(layer, place)
    kernel = place(kernel.reshape(*kernel.shape[:2], channels, -1))
    return lambda x: finish(_convolve_depthwise(x, kernel, layer))


def _separable(node, place):
    layer = node.operation
    kernels = layer.depthwise_kernel, layer.pointwise_kernel
    depthwise, pointwise = (place(_float32(kernel)) for kernel in kernels)
    finish = _finish(layer, place)
    return lambda x: finish(
        tf.nn.conv2d(_convolve_depthwise(x, depthwise, layer), pointwise, 1, "VALID")
    )


def _convolve_depthwise(x, kernel, layer):
    options = {"padding": layer.padding.upper(), "dilations": layer.dilation_rate}
    if len(set(layer.strides)) == 1:
        return tf.nn.depthwise_conv2d(x, kernel, (1, *layer.strides, 1), **options)
    # TensorFlow has no depthwise convolution of unequal strides without oneDNN.
    channels = range(x.shape[-1])
    pairs = [(x[..., c : c + 1], kernel[:, :, c : c + 1]) for c in channels]
    return tf.concat([tf.nn.conv2d(*pair, layer.strides, **options) for pair in pairs], -1)


def _dense(node, place):
    layer, shape = node.operation, node.outputs[0].shape
    kernel, finish = place(_float32(layer.kernel)), _finish(layer, place)
    if len(shape) == 2:
        return lambda x: finish(tf.matmul(x, kernel))
    if None in shape[1:]:
        return None
    # Only a product of matrices is fused.
    return lambda x: tf.reshape(
        finish(tf.matmul(tf.reshape(x, [-1, kernel.shape[0]]), kernel)), [-1, *shape[1:]]
    )


def _batch_norm(node, place):
    """As two passes: oneDNN's own batch norm takes 1.2 to 1.5 times as long."""
    layer = node.operation
    if layer.axis not in (-1, len(node.outputs[0].shape) - 1):
        return None
    scale, shift = (place(np.asarray(part, "float32")) for part in scale_and_shift(layer))
    return lambda x: x * scale + shift


def _relu(node, place):
    layer = node.operation
    if layer.negative_slope or layer.threshold:
        return None
    return {None: tf.nn.relu, 6.0: tf.nn.relu6}.get(layer.max_value)


def _activation(node, place):
    return _function(node.operation.activation, place)


def _pool(operation):
    def rule(node, place):
        layer = node.operation
        size, strides, padding = layer.pool_size, layer.strides, layer.padding.upper()
        return lambda x: operation(x, size, strides, padding)

    return rule


def _zeros_around(node, place):
    paddings = [(0, 0), *node.operation.padding, (0, 0)]
    return lambda x: tf.pad(x, paddings)


def _joining(operation):
    def rule(node, place):
        # Layers of Keras broadcast in a way of their own.
        if len({len(tensor.shape) for tensor in node.input_tensors}) > 1:
            return None
        return lambda *parts: functools.reduce(operation, parts)

    return rule


def _concatenate(node, place):
    if node.operation.axis not in (-1, len(node.outputs[0].shape) - 1):
        return None
    return lambda *parts: tf.concat(parts, -1)


def _finish(layer, place):
    """Returns the bias and the activation that follow the product of a layer."""
    function = _function(layer.activation, place)
    if not layer.use_bias:
        return function
    bias = place(_float32(layer.bias))
    return lambda x: function(tf.nn.bias_add(x, bias))


def _function(activation, place):
    return as_it_is(activation, place) if isinstance(activation, keras.Layer) else activation


def _float32(weight):
    return np.asarray(convert_to_numpy(weight), "float32")


RULES = {
    "Conv2D": _convolution,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
    "Dense": _dense,
    "BatchNormalization": _batch_norm,
    "ReLU": _relu,
    "Activation": _activation,
    "MaxPooling2D": _pool(tf.nn.max_pool2d),
    "AveragePooling2D": _pool(tf.nn.avg_pool2d),
    "ZeroPadding2D": _zeros_around,
    "Add": _joining(tf.add),
    "Multiply": _joining(tf.multiply),
    "Concatenate": _concatenate,
}
