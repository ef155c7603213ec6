"""Folds batch norms into the layers before them, for inference."""

import keras
from keras import layers as L
from keras import ops

from tfgates.gated import Gated
from tfgates.graph.nodes import graph_of, has_own_kernel, keras_kind, nodes, readers
from tfgates.graph.rebuilding import again, rebuilt
from tfgates.norms import scale_and_shift

KERNELS = (L.Conv2D, L.DepthwiseConv2D, L.SeparableConv2D, L.Dense)
NOTHING_AT_INFERENCE = (
    "Dropout",
    "SpatialDropout2D",
    "GaussianDropout",
    "GaussianNoise",
    "AlphaDropout",
    "ActivityRegularization",
    "StochasticDepth",
    "Identity",
)


def fold(model):
    """Moves batch norms into the layers with kernels before them, which it copies.

    Layers that do nothing at inference, as dropout, go.

    Args:
        model: functional model, with or without `Gated` layers; it stays as it is.

    Returns:
        A model that equals it at inference.
    """
    if any(graph_of(node.operation) for node in nodes(model)):
        model = rebuilt(model)  # without models inside
    reading, norms = readers(model), {}
    made: dict[tuple[int, int], L.Layer] = {}
    for node in nodes(model):
        after, layer = reading[id(node.outputs[0])], node.operation
        # Not of classes made of them, which may do more.
        kernel = type(layer) in KERNELS and has_own_kernel(layer)
        linear = kernel and layer.activation is keras.activations.linear
        norm = after[0].operation if linear and len(after) == 1 and after[0] else None
        if type(norm) is L.BatchNormalization and _same_channels(layer, norm):
            norms[id(node)] = after[0]
    gone = {id(node) for node in norms.values()}

    def replace(node, value):
        layer = node.operation
        if id(node) in gone or keras_kind(layer) in NOTHING_AT_INFERENCE:
            return [value[id(node.input_tensors[0])]]
        if isinstance(layer, Gated):
            otherwise = layer.otherwise and fold(layer.otherwise)
            return again(layer, node, value, fold(layer.then), otherwise)
        if id(node) in norms:
            norm, start = norms[id(node)].operation, value[id(node.input_tensors[0])]
            if (id(layer), id(norm)) not in made:
                made[id(layer), id(norm)] = _folded(layer, norm, start.shape)
            return [made[id(layer), id(norm)](start)]
        return None

    return rebuilt(model, replace)


def _same_channels(layer, norm):
    """Whether a norm is over the channels that a layer makes."""
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return False
    return norm.axis in (-1, norm.input_spec.ndim - 1)


def _folded(layer, norm, input_shape):
    # A layer may stand before two norms, so its name may not be taken over.
    name = f"{layer.name}_{norm.name}"
    config = {**layer.get_config(), "use_bias": True, "dtype": "float32", "name": name}
    new = type(layer).from_config(config)
    new.build(input_shape)
    scale, shift = scale_and_shift(norm)
    *others, kernel = layer.get_weights()[: len(new.weights) - 1]
    channels = kernel.shape[2:] if isinstance(layer, L.DepthwiseConv2D) else scale.shape
    bias = ops.convert_to_numpy(layer.bias) if layer.use_bias else 0.0
    new.set_weights([*others, kernel * scale.reshape(channels), bias * scale + shift])
    return new
