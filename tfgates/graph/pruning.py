"""Pruning: decisions that are made for good become structure (section 3.2, mode collapse)."""

from typing import Any

import keras
import numpy as np
from keras import layers as L
from keras import ops

from tfgates.gated import (
    Gated,
    Network,
    features_and_decisions,
    gates,
    joined,
)
from tfgates.graph.branches import SUMS
from tfgates.graph.channels import (
    PlaceGroups,
    kept_channels,
    slice_read,
    slice_written,
    slicing_readers,
)
from tfgates.graph.nodes import inputs_like, nodes, only, rerun


def prune(model, fixed):
    """Makes decisions for good: closed branches go, open ones lose their gate.

    Where the decisions hold, the smaller model equals the thresholded one. A closed branch of a sum
    goes altogether, with the sum; of a concatenation zeros are left. Of closed groups of filters
    the layers that write and read them are sliced.

    Args:
        model: functional model with `Gated` layers; it stays as it is, and shares its other layers
            with the result.
        fixed: decisions, bool by the column of the gate; the other gates stay, and so do those of
            which not every group of filters is decided.

    Returns:
        `Network`; without gates a plain `keras.Model`, images -> logits.

    Raises:
        ValueError: a column of no gate.
    """
    total = sum(layer.groups for layer in gates(model))
    if not set(fixed) <= set(range(total)):
        raise ValueError(
            f"`fixed` has columns of the {total} decisions. Received: {sorted(fixed)}."
        )
    fixed = fully_decided(model, fixed)
    made = {
        layer.name: [fixed[column] for column in indices]
        for layer, indices in columns_of(model)
        if all(column in fixed for column in indices)
    }
    return _without(model, made) if made else model


def columns_of(model):
    """Returns pairs of a `Gated` layer and the range of its columns of the decisions."""
    found, first = [], 0
    for layer in gates(model):
        found.append((layer, range(first, first + layer.groups)))
        first += layer.groups
    return found


def fully_decided(model, fixed):
    """Returns the decisions that `prune` makes: all those of a layer, or none.

    Of filters without a shortcut one group stays open, so that all of them are not closed for good.
    """
    made: dict[int, bool] = {}
    for layer, indices in columns_of(model):
        opened = {column: fixed[column] for column in indices if column in fixed}
        if len(opened) == len(indices) and (not layer.keep_one or any(opened.values())):
            made |= opened
    return made


def expected(model):
    """Moves the probabilities of stochastic depth into the model: every branch runs, scaled.

    Args:
        model: functional model; it stays as it is.

    Returns:
        A model without gates that are not learned, which equals this one under `Expected()`; the
        model itself where it has none.
    """
    layers = [layer for layer in gates(model) if not getattr(layer.gate, "learned", True)]
    if not layers:
        return model
    return _without(model, {layer.name: [True] for layer in layers}, scaled=True)


def thresholded(model, policy):
    """Returns the decisions of the gates that look at no image, bool by column.

    Args:
        model: functional model with `Gated` layers.
        policy: a deterministic one, as `Threshold(0.5)`.
    """
    found: dict[int, bool] = {}
    for layer, indices in columns_of(model):
        if not getattr(layer.gate, "data_dependent", True):
            decisions = layer.decide(layer.gate(ops.zeros((1, 1))), policy)
            decided = np.ravel(ops.convert_to_numpy(decisions)) > 0
            found |= dict(zip(indices, decided.tolist(), strict=True))
    return found


def one_sided(rates, min_rate):
    """Decides the gates that decide alike for nearly all images; an independent one always does.

    Args:
        rates: of each gate, [G], in [0, 1].
        min_rate: share of the images, in [0, 0.5], up to which the rarer decision is ignored.

    Returns:
        Their decision, bool by column of the gate.
    """
    return {
        gate: bool(rate >= 0.5)
        for gate, rate in enumerate(rates)
        if rate <= min_rate or rate >= 1 - min_rate
    }


def rebuilt(model, replace=lambda node, value: None, shapes=None):
    """Returns a model of the same inputs and outputs with some calls replaced, see `rerun`.

    Args:
        model: functional model, or one inside of a `Gated` layer.
        replace: as of `rerun`; decisions that it makes None go.
        shapes: other shapes of its inputs, that of the batch included; None: the same.
    """
    inputs = inputs_like(model, shapes)
    value = rerun(model, inputs, replace)
    features, decisions = (
        tensor if tensor is None else value[id(tensor)] for tensor in features_and_decisions(model)
    )
    if decisions is None:
        return keras.Model(only(inputs), features, name=model.name)
    if isinstance(model.output, dict):
        outputs = {"logits": features, "decisions": decisions}
        return Network(only(inputs), outputs, name=model.name)
    return keras.Model(only(inputs), [features, decisions], name=model.name)


def of_shape(model, *shapes):
    """Returns a model of the same calls on inputs of other shapes, that of the batch included.

    A model of images of any size becomes one of a fixed size, in which every shape is known. One
    that has these shapes is returned itself.
    """
    if [tensor.shape[1:] for tensor in model.inputs] == [tuple(shape[1:]) for shape in shapes]:
        return model

    def replace(node, value):
        layer = node.operation
        if not isinstance(layer, Gated):
            return None
        inside = [value[id(tensor)].shape for tensor in node.input_tensors]
        otherwise = layer.otherwise and of_shape(layer.otherwise, *inside)
        return again(layer, node, value, of_shape(layer.then, *inside), otherwise)

    return rebuilt(model, replace, shapes)


def again(layer, node, value, then, otherwise=None):
    """Calls a `Gated` layer anew with other models inside; see `rerun`."""
    inputs = [value[id(tensor)] for tensor in node.input_tensors]
    return layer.with_arms(then, otherwise or layer.otherwise)(only(inputs))


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

    def call(self, inputs):
        return ops.zeros(self.compute_output_shape(ops.shape(inputs)), inputs.dtype)

    def compute_output_shape(self, input_shape):
        sizes = enumerate(self.sizes, 1)
        return (input_shape[0], *(input_shape[n] if size is None else size for n, size in sizes))

    def get_config(self):
        return {**super().get_config(), "sizes": self.sizes}


def _without(model, made, scaled=False):
    """Returns a model without some gates: lists of bool by name of the layer."""
    return rebuilt(model, _Decided(made, scaled).replace)


class _Decided:
    """Puts structure in the place of gates whose decisions are made.

    Args:
        made: lists of bool by name of the layer.
        scaled: whether what an open gate lets through is multiplied by its probability.
    """

    def __init__(self, made, scaled):
        self.made, self.scaled = made, scaled
        # By id of a new tensor, with that tensor, whose id is then nobody else's: that it is
        # zeros; the gate whose open groups of channels alone are left in it.
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
        if type(layer).__name__ in SUMS and len(left) == 1 < len(parts):
            return left
        return None

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
        self.zeros[id(nothing)] = nothing
        return [nothing, None]

    def _otherwise(self, layer, parts):
        ran = rerun(layer.otherwise, parts, self.replace)
        return ran[id(layer.otherwise.outputs[0])]

    def _expected(self, layer, features, parts):
        """Returns the mean of what is open and of what is closed, by the probability of the gate."""
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
