"""What stands in the place of a gate whose decisions are made."""

from typing import Any

import keras
import numpy as np
from keras import layers as L
from keras import ops

from tfgates.gated import Gated, joined
from tfgates.graph.channels import (
    PlaceGroups,
    kept_channels,
    slice_read,
    slice_written,
    slicing_readers,
)
from tfgates.graph.masks import masks_through
from tfgates.graph.nodes import keras_kind, mask_of, nodes, rerun
from tfgates.graph.outputs import features_and_decisions
from tfgates.graph.rebuilding import again, rebuilt
from tfgates.graph.sides import SUMS


class Decided:
    """Puts structure in the place of gates whose decisions are made.

    Args:
        made: lists of bool by name of the layer.
        scaled: whether what an open gate lets through is multiplied by its probability.
    """

    def __init__(self, made, scaled):
        self.made, self.scaled = made, scaled
        # By id of a new tensor, with that tensor, whose id is then nobody else's: that it is
        # zeros, and the mask beside it where what enters has one too; the gate whose open groups of
        # channels alone are left in it.
        self.zeros: dict[int, Any] = {}
        self.sliced: dict[int, Any] = {}

    def replace(self, node, value):
        layer, parts = node.operation, [value[id(tensor)] for tensor in node.input_tensors]
        if id(parts[0]) in self.sliced and slicing_readers([node]):
            return [self._reading_parts(layer, parts[0])]
        for tensor, part in zip(node.input_tensors, parts, strict=True):
            if id(part) in self.sliced:
                value[id(tensor)] = self._placed(*self.sliced[id(part)])
        if isinstance(layer, Gated):
            return self._gated(layer, node, value, [value[id(t)] for t in node.input_tensors])
        if isinstance(layer, L.Concatenate) and any(part is None for part in parts):
            left = [part for part in parts if part is not None]
            return [joined(left, layer.name) if left else None]
        left = [part for part in parts if id(part) not in self.zeros]
        if keras_kind(layer) in SUMS and len(left) == 1 < len(parts):
            return left if self._keeps_mask(layer, parts, left[0]) else None
        return None

    def _keeps_mask(self, layer, parts, left):
        """Whether a sum has a mask where the one tensor that is left of it has one."""
        others = [self.zeros[id(part)][1] for part in parts if part is not left]
        added = getattr(layer, "supports_masking", False)
        return mask_of(left) is None or (added and all(mask is not None for mask in others))

    def _gated(self, layer, node, value, parts):
        """Returns features and decisions of a layer that stays, or of what is left of it."""
        opened = self.made.get(layer.name)
        if opened is None:
            inside = any(isinstance(one.operation, Gated) for one in nodes(layer.then))
            then = rebuilt(layer.then, self.replace) if inside else layer.then
            return again(layer, node, value, then)
        if all(opened):
            ran = rerun(layer.then, parts, self.replace)
            features, *decisions = (
                tensor if tensor is None else ran[id(tensor)]
                for tensor in features_and_decisions(layer.then)
            )
            return [self._expected(layer, features, parts) if self.scaled else features, *decisions]
        if any(opened):
            return [self._some(layer, opened, parts), None]
        if layer.otherwise is not None:
            return [self._otherwise(layer, parts), None]
        sizes, name = node.outputs[0].shape[1:], f"{layer.name}_zeros"
        nothing = Zeros(sizes, name=name, dtype=layer.dtype_policy)(parts[0])
        mask, left = masks_through(layer.then, [mask_of(part) for part in parts])
        self.zeros[id(nothing)] = nothing, mask if left[0] is not None else None
        return [nothing, None]

    def _otherwise(self, layer, parts):
        ran = rerun(layer.otherwise, parts, self.replace)
        return ran[id(layer.otherwise.outputs[0])]

    def _expected(self, layer, features, parts):
        """Returns the mean of both arms, by the probability of the gate."""
        probability = layer.gate.probability
        features = _times(probability, layer, "scale")(features)
        if layer.otherwise is None:
            return features
        closed = _times(1 - probability, layer, "rest")(self._otherwise(layer, parts))
        return L.Add(name=f"{layer.name}_expected")([features, closed])

    def _some(self, layer, opened, parts):
        """Returns the features of some groups of filters, the others gone or, at the least, 0."""
        channels = layer.then.outputs[0].shape[-1]
        kept = kept_channels(channels, opened)
        sliced = slice_written(layer.then, kept)
        then = sliced or layer.then
        features = rerun(then, parts, self.replace)[id(then.outputs[0])]
        if sliced is None:
            mask = np.isin(np.arange(channels), kept).astype(float).tolist()
            return _times(mask, layer, "kept")(features)
        if layer.keep_one:
            # The layers that read them are sliced as well, where they can be.
            self.sliced[id(features)] = features, layer
            return features
        return self._placed(features, layer)

    def _placed(self, features, layer):
        """Returns all the channels again, zeros for those that are gone."""
        place = PlaceGroups(
            self.made[layer.name], name=f"{layer.name}_groups", dtype=layer.dtype_policy
        )
        return place(features)

    def _reading_parts(self, layer, features):
        """Calls the layer that reads sliced channels."""
        opened = self.made[self.sliced[id(features)][1].name]
        kept = kept_channels(features.shape[-1] * len(opened) // sum(opened), opened)
        return slice_read(layer, kept, features.shape)(features)


def _times(scale, layer, ending):
    """Returns the layer that stands in the place of a gate, and multiplies."""
    return L.Rescaling(scale, name=f"{layer.name}_{ending}", dtype=layer.dtype_policy)


@keras.saving.register_keras_serializable(package="tfgates")
class Zeros(L.Layer):
    """What is left of a closed branch that does not end in a sum.

    Args:
        sizes: of the axes behind that of the images; None: as of what enters.

    Call arguments:
        inputs: [B, ...].

    Returns, when called: zeros [B, *sizes].
    """

    def __init__(self, sizes, **kwargs):
        super().__init__(**kwargs)
        self.sizes = tuple(sizes)
        self.supports_masking = True

    def call(self, inputs):
        return ops.zeros(self.compute_output_shape(ops.shape(inputs)), inputs.dtype)

    def compute_mask(self, inputs, previous_mask):
        return None

    def compute_output_shape(self, input_shape):
        sizes = enumerate(self.sizes, 1)
        return (input_shape[0], *(input_shape[n] if size is None else size for n, size in sizes))

    def get_config(self):
        return {**super().get_config(), "sizes": self.sizes}
