"""Groups of filters: pruned by slicing the layers that write and read them (section S2.3)."""

import collections

import keras
import numpy as np
from keras import layers as L
from keras import ops

from tfgates.graph.nodes import has_own_kernel, inputs_like, listed, nodes, producer, rerun

# Layers that make each channel of all channels that they read; the axis of their kernels is last.
SEPARABLE = (L.SeparableConv1D, L.SeparableConv2D)
MIXING = (L.Conv1D, L.Conv2D, L.Conv3D, L.Dense, *SEPARABLE)
# Layers that make each channel of the same one; with weights, and the axis of those.
CHANNELWISE = {L.BatchNormalization: 0, L.DepthwiseConv1D: 1, L.DepthwiseConv2D: 2}
WITHOUT_WEIGHTS = (
    L.ReLU,
    L.Activation,
    L.Dropout,
    L.ZeroPadding2D,
    L.MaxPooling2D,
    L.AveragePooling2D,
)
# Activations of one number each; None is of layers that have none.
ELEMENTWISE = (
    None,
    *(keras.activations.get(name) for name in ("linear", "relu", "relu6", "elu", "selu", "gelu")),
    *(keras.activations.get(name) for name in ("silu", "hard_silu", "sigmoid", "hard_sigmoid")),
    *(keras.activations.get(name) for name in ("tanh", "leaky_relu", "mish", "softplus")),
)


@keras.saving.register_keras_serializable(package="tfgates")
class PlaceGroups(L.Layer):
    """Puts the groups of channels that were kept at their old places, zeros at the others.

    Args:
        opened: bool of each group, which of them were kept, at least one.

    Call arguments:
        inputs: [B, ..., kept groups * channels of a group].

    Returns, when called: [B, ..., groups * channels of a group].
    """

    def __init__(self, opened, **kwargs):
        super().__init__(**kwargs)
        self.opened = tuple(map(bool, opened))
        self.supports_masking = True

    def call(self, inputs):
        kept = iter(ops.split(inputs, sum(self.opened), axis=-1))
        zeros = ops.zeros_like(inputs[..., : inputs.shape[-1] // sum(self.opened)])
        return ops.concatenate([next(kept) if is_open else zeros for is_open in self.opened], -1)

    def compute_output_shape(self, input_shape):
        channels = input_shape[-1] // sum(self.opened)
        return (*input_shape[:-1], channels * len(self.opened))

    def get_config(self):
        return {**super().get_config(), "opened": self.opened}


def kept_channels(channels, opened):
    """Returns the indices of the channels of the groups that are open."""
    return np.flatnonzero(np.repeat(opened, channels // len(opened)))


def writers(model):
    """Returns the nodes at the end of a model that have the channels of its output, last first.

    The first of them in the order of computation mixes the channels before it. None where one of
    them is of a kind that cannot be sliced, or has weights and is called twice.
    """
    calls = collections.Counter(id(node.operation) for node in nodes(model))
    found, tensor = [], model.outputs[0]
    while tensor is not model.inputs[0]:
        found.append(producer(tensor))
        layer = found[-1].operation
        if getattr(layer, "weights", []) and calls[id(layer)] > 1:
            return None
        if _mixes(layer):
            return found
        if not _is_channelwise(layer):
            return None
        tensor = found[-1].input_tensors[0]
    return None


def slicing_readers(after):
    """Returns those nodes of some that can read a part of the channels that they read."""
    return [node for node in after if node is not None and _reads_parts(node.operation)]


def slice_written(model, kept):
    """Returns a model that makes some of its channels only.

    Args:
        model: functional model, features -> features.
        kept: indices of channels.

    Returns:
        `keras.Model`; None where a layer on the way to them cannot be sliced.
    """
    found = writers(model)
    if found is None:
        return None
    made = set(map(id, found))

    def replace(node, value):
        if id(node) not in made:
            return None
        inputs = [value[id(part)] for part in node.input_tensors]
        return listed(_of_channels(node.operation, kept, inputs[0].shape)(*inputs))

    (start,) = inputs_like(model)
    return keras.Model(start, rerun(model, [start], replace)[id(model.outputs[0])])


def slice_read(layer, kept, input_shape):
    """Returns a copy of a layer that reads some of its channels only.

    Args:
        layer: that reads all of them, of `slicing_readers`.
        kept: indices of channels.
        input_shape: of the features that have only these.
    """
    kernel, *bias = layer.get_weights()
    return _copy(layer, {}, [np.take(kernel, kept, axis=-2), *bias], input_shape)


def _mixes(layer):
    plain = type(layer) in MIXING and getattr(layer, "groups", 1) == 1
    return plain and has_own_kernel(layer) and _is_elementwise(layer)


def _reads_parts(layer):
    return _mixes(layer) and type(layer) not in SEPARABLE


def _is_elementwise(layer):
    """Whether the activation of a layer makes each number of the same one: a softmax does not."""
    return getattr(layer, "activation", None) in ELEMENTWISE


def _is_channelwise(layer):
    if type(layer) is L.BatchNormalization:
        # Its input specification knows the axis by its number from 0.
        return layer.axis in (-1, layer.input_spec.ndim - 1)
    if type(layer) in CHANNELWISE:
        return has_own_kernel(layer) and layer.depth_multiplier == 1 and _is_elementwise(layer)
    return type(layer) in WITHOUT_WEIGHTS and _is_elementwise(layer)


def _of_channels(layer, kept, input_shape):
    """Returns a layer that makes some of the channels of another one."""
    if type(layer) in WITHOUT_WEIGHTS:
        return layer
    weights = layer.get_weights()
    if _mixes(layer):
        name = "units" if isinstance(layer, L.Dense) else "filters"
        first, others = (weights[:1], weights[1:]) if type(layer) in SEPARABLE else ([], weights)
        sliced = [*first, *(np.take(weight, kept, axis=-1) for weight in others)]
        return _copy(layer, {name: len(kept)}, sliced, input_shape)
    axis = CHANNELWISE[type(layer)]
    sliced = [np.take(weight, kept, axis if weight.ndim > 1 else 0) for weight in weights]
    return _copy(layer, {}, sliced, input_shape)


def _copy(layer, changes, weights, input_shape):
    """Returns a layer of the same kind and name with other weights, built."""
    copy = type(layer).from_config({**layer.get_config(), **changes})
    copy.build(input_shape)
    copy.set_weights(weights)
    return copy
