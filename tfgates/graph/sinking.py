"""Moves sums into the arms of gates, so that TensorFlow fuses them and identities cost nothing."""

from typing import Any

import keras
from keras import layers as L

from tfgates.gated import Gated
from tfgates.graph.distinct import distinct
from tfgates.graph.nodes import (
    arguments,
    keras_kind,
    listed,
    nodes,
    only,
    producer,
    readers,
    repeat,
    rerun,
)
from tfgates.graph.rebuilding import again, rebuilt
from tfgates.graph.sides import SUMS

POOLS = (L.MaxPooling2D, L.AveragePooling2D, L.GlobalAveragePooling2D)
# What makes no negative number of numbers that are not negative.
KEEPS_SIGN = (*POOLS, L.ZeroPadding2D, L.Add, L.Concatenate)


def sink(model, positive=()):
    """Moves the sum, and the ReLU behind it, into the arms of a gate.

    Where what comes in is not negative, a closed identity block then returns the very tensor that
    it got. ReLUs of what is not negative go. The result equals the model under decisions of 0 and
    1 alone, not under `Expected()`.

    Args:
        model: functional model without batch norms before its sums, see `fold`.
        positive: indices of inputs that are never negative.

    Returns:
        A model for the export.
    """
    reading, sums, taken = readers(model), {}, set()
    known = {id(model.inputs[index]) for index in positive}
    for node in nodes(model):
        join, relu = _sum_behind(node, reading)
        if join is not None and id(join) not in taken:
            sums[id(node)] = join, relu
            taken.add(id(join))
        if _keeps_sign(node, known) or is_relu(node):
            known.add(id(node.outputs[0]))

    def replace(node, value):
        if id(node) in sums:
            join, relu = sums[id(node)]
            (other,) = [tensor for tensor in join.input_tensors if tensor is not node.outputs[0]]
            _make(other, value, replace)
            outputs = _sunk(node, join, relu, other, known, value)
            value |= {id(last.outputs[0]): outputs[0] for last in (join, relu) if last}
            return outputs
        if is_relu(node, bounded=False) and id(node.input_tensors[0]) in known:
            # Left over from a removed branch, it would keep the sum before it from being fused.
            return [value[id(node.input_tensors[0])]]
        if isinstance(node.operation, Gated):
            given = [i for i, t in enumerate(node.input_tensors) if id(t) in known]
            return again(node.operation, node, value, sink(node.operation.then, given))
        return None

    return rebuilt(model, replace)


def _make(tensor, value, replace):
    """Makes a tensor before its turn, where it is not there yet."""
    if id(tensor) not in value:
        for part in producer(tensor).input_tensors:
            _make(part, value, replace)
        repeat([producer(tensor)], value, replace)


def _keeps_sign(node, known):
    if isinstance(node.operation, Gated):
        # What it makes is added to something, or not: nothing is known of it.
        return False
    return type(node.operation) in KEEPS_SIGN and all(
        id(tensor) in known for tensor in node.input_tensors
    )


def _sum_behind(node, reading):
    """Returns the sum that alone reads what a gate lets through, and the ReLU behind it."""
    layer = node.operation
    if not isinstance(layer, Gated) or layer.otherwise is not None or layer.groups > 1:
        return None, None
    join, *others = reading[id(node.outputs[0])]
    if others or join is None or keras_kind(join.operation) not in SUMS:
        return None, None
    after = reading[id(join.outputs[0])]
    return join, after[0] if len(after) == 1 and is_relu(after[0]) else None


def _sunk(gated, join, relu, other, known, value):
    """Calls the layer whose arms make the sum; returns it and the decisions."""
    layer, given = gated.operation, list(gated.input_tensors)
    outer = given if any(other is tensor for tensor in given) else [*given, other]
    inputs = [keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype) for tensor in outer]
    (around,) = [new for new, tensor in zip(inputs, outer, strict=True) if tensor is other]
    then = sink(layer.then, [i for i, tensor in enumerate(given) if id(tensor) in known])
    ran = rerun(then, inputs[: len(given)])
    features, *decisions = [ran[id(tensor)] for tensor in then.outputs]
    args, kwargs = arguments(join, {id(gated.outputs[0]): features, id(other): around})
    features, closed = join.operation(*args, **kwargs), around
    if relu is not None:
        features = relu.operation(features)
        if id(other) not in known or not is_relu(relu, bounded=False):
            closed = relu.operation(closed)
    inside = keras.Model(only(inputs), distinct(inputs, only([features, *decisions])))
    new = layer.with_arms(inside, keras.Model(only(inputs), closed))
    return listed(new(only([value[id(tensor)] for tensor in outer])))


def is_relu(node, bounded=True):
    """Whether a node is a ReLU, or a bounded one, as ReLU6, which is no identity above 0."""
    layer: Any = None if node is None else node.operation
    if type(layer) is L.ReLU:
        plain = not layer.negative_slope and not layer.threshold
        return plain and (bounded or layer.max_value is None)
    kind = getattr(layer, "activation", None) if type(layer) is L.Activation else None
    return kind is keras.activations.relu or (bounded and kind is keras.activations.relu6)
