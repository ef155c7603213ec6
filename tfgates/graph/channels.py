"""Groups of filters: pruned by slicing the layers that write and read them (section S2.3)."""

import keras
import numpy as np
from keras import layers as L
from keras import ops

from tfgates.graph.nodes import listed, producer, rerun

# Layers that make each channel of all channels that they read; the axis of their kernels is last.
MIXING = (L.Conv1D, L.Conv2D, L.Conv3D, L.Dense, L.SeparableConv1D, L.SeparableConv2D)
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
    them is of a kind that cannot be sliced.
    """
    found, tensor = [], model.outputs[0]
    while tensor is not model.inputs[0]:
        found.append(producer(tensor))
        if _mixes(found[-1].operation):
            return found
        if not _is_channelwise(found[-1].operation):
            return None
        tensor = found[-1].input_tensors[0]
    return None


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

    start = keras.Input(batch_shape=model.inputs[0].shape, dtype=model.inputs[0].dtype)
    return keras.Model(start, rerun(model, [start], replace)[id(model.outputs[0])])


def slice_read(layer, kept, input_shape):
    """Returns a copy of a layer that reads some of its channels only; None where it cannot be.

    Args:
        layer: that reads all of them.
        kept: indices of channels.
        input_shape: of the features that have only these.
    """
    if not _mixes(layer) or isinstance(layer, (L.SeparableConv1D, L.SeparableConv2D)):
        return None
    kernel, *bias = layer.get_weights()
    return _copy(layer, {}, [np.take(kernel, kept, axis=-2), *bias], input_shape)


def _mixes(layer):
    return isinstance(layer, MIXING) and getattr(layer, "groups", 1) == 1


def _is_channelwise(layer):
    if isinstance(layer, L.BatchNormalization):
        # Its input specification knows the axis by its number from 0.
        return layer.axis in (-1, layer.input_spec.ndim - 1)
    if isinstance(layer, (L.DepthwiseConv1D, L.DepthwiseConv2D)):
        return layer.depth_multiplier == 1
    return isinstance(layer, WITHOUT_WEIGHTS)


def _of_channels(layer, kept, input_shape):
    """Returns a layer that makes some of the channels of another one."""
    if isinstance(layer, WITHOUT_WEIGHTS):
        return layer
    weights = layer.get_weights()
    if _mixes(layer):
        name = "units" if isinstance(layer, L.Dense) else "filters"
        separable = isinstance(layer, (L.SeparableConv1D, L.SeparableConv2D))
        first, others = (weights[:1], weights[1:]) if separable else ([], weights)
        sliced = [*first, *(np.take(weight, kept, axis=-1) for weight in others)]
        return _copy(layer, {name: len(kept)}, sliced, input_shape)
    axis = next(axis for kind, axis in CHANNELWISE.items() if isinstance(layer, kind))
    sliced = [np.take(weight, kept, axis if weight.ndim > 1 else 0) for weight in weights]
    return _copy(layer, {}, sliced, input_shape)


def _copy(layer, changes, weights, input_shape):
    """Returns a layer of the same kind and name with other weights, built."""
    copy = type(layer).from_config({**layer.get_config(), **changes})
    copy.build(input_shape)
    copy.set_weights(weights)
    return copy
