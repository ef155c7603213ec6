"""Groups of filters: pruned by slicing the convolutions that write and read them (section S2.3)."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="tfgates")
class PlaceGroups(keras.layers.Layer):
    """Puts the groups of channels that were kept at their old places, zeros at the others.

    Args:
        opened: bool of each group, which of them were kept, at least one.

    Call arguments:
        inputs: [B, H, W, kept groups * channels of a group].

    Returns, when called: [B, H, W, groups * channels of a group].
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


def slice_block(block, opened):
    """Returns a block without gate in which only some groups of filters are left.

    Args:
        block: built `GatedBlock` whose gate decides on groups; it stays as it is.
        opened: bool of each group, at least one.

    Returns:
        `GatedBlock` that equals the block under these decisions.
    """
    filters = block.norm.gamma.shape[0]
    kept = np.flatnonzero(np.repeat(opened, filters // len(opened)))
    *before, writing = block.branch.layers
    branch = [*before, _sliced(writing, {3: kept}, {"filters": len(kept)})]
    norm = _sliced(block.norm, {0: kept}, {})
    if block.tail is None:
        tail = [PlaceGroups(opened, dtype=block.dtype_policy)]
    else:
        reading, *others = block.tail.layers
        tail = [_sliced(reading, {2: kept}, {}), *others]
    branch = keras.Sequential(branch, name="branch")
    return block.like(branch, norm, tail=keras.Sequential(tail, name="tail"))


def _sliced(layer, kept, changes):
    """Copies a layer with some of its channels: `kept` indices by axis of its weights."""
    weights = layer.get_weights()
    for axis, indices in kept.items():
        weights = [np.take(weight, indices, axis) for weight in weights]
    copy = type(layer).from_config({**layer.get_config(), **changes})
    channels = weights[0].shape[2] if weights[0].ndim == 4 else len(weights[0])
    copy.build((None, None, None, channels))
    copy.set_weights(weights)
    return copy
