"""A functional model as TensorFlow operations, with a way to run either arm of its gates.

Averages over the pixels are kept beside a tensor once something has read them, and come out of the
arms of a gate where something behind it reads them: a closed block, which changes neither, hands on
those that it got.
"""

import functools
import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers as L

from tfgates.export.arms import Arms
from tfgates.export.native import dense, native
from tfgates.export.scope import Scope
from tfgates.export.stateless import as_it_is
from tfgates.gated import Gated
from tfgates.graph.folding import fold
from tfgates.graph.masks import mask_behind, masks_through
from tfgates.graph.nodes import (
    arguments,
    graph_of,
    mask_of,
    masked,
    nodes,
    only,
    readers,
    reads_only_tensors,
)
from tfgates.graph.outputs import features_and_decisions


class Graph:
    """A functional model as TensorFlow operations on constants.

    Args:
        model: of `sink(fold(...))`.
        run: what runs the arms of a gate: a function of `Arms`, inputs, averages, log_odds, and
            its decisions bool [B], that returns a list as that of the arms.
        columns: of the decisions, by name of a `Gated` layer, as of `tfgates.network.columns`.
        place: function of a weight, a NumPy array, that returns what the graph reads.
        averaged: whether the averages of the features are wanted too.

    Call arguments:
        inputs: list of tensors.
        averages: of each of them over the pixels, [B, C], or None where they are not known.
        log_odds: float32 [B, G], or [B, 1] for all gates; a gate opens where its logit is greater.

    Returns, when called: features; decisions bool [B, D], or None where there are none; averages of
    the features, or None.
    """

    def __init__(self, model, run, columns, place=np.asarray, averaged=False):
        self.model, self.run, self.columns, self.place = model, run, columns, place
        self.averaged = averaged
        self.features, self.decisions = features_and_decisions(model)
        self.averages_read = {
            id(node.input_tensors[0]) for node in nodes(model) if _reads_averages(node.operation)
        }
        if averaged:
            self.averages_read.add(id(self.features))
        self.zeros = _zeros_of_convolutions(model)
        inside = {id(node) for node in self.zeros.values()}
        self.steps = [(node, self._step(node)) for node in nodes(model) if id(node) not in inside]

    def __call__(self, inputs, averages, log_odds):
        scope = Scope(self.model.inputs, inputs, averages, log_odds)
        for node, step in self.steps:
            scope.add(node.outputs, keras.tree.flatten(step(scope)))
        decisions = None if self.decisions is None else scope[self.decisions]
        means = scope.average(self.features) if self.averaged else None
        return scope[self.features], decisions, means

    def _step(self, node):
        """Returns the function of a `Scope` that makes the outputs of a call."""
        layer, sources = node.operation, node.input_tensors
        if isinstance(layer, Gated):
            return self._gated(node)
        if _pools_globally(layer):
            shape = [-1, *node.outputs[0].shape[1:]]
            return lambda scope: tf.reshape(scope.average(sources[0]), shape)
        zeros = self.zeros.get(id(node))
        if zeros is not None:
            sources = zeros.input_tensors
            known = native(node, self.place, [(0, 0), *zeros.operation.padding, (0, 0)])
        else:
            known = native(node, self.place)
        if known is not None:
            return _fused(layer, known, sources)
        call = as_it_is(layer, self.place)

        def step(scope):
            args, kwargs = arguments(node, scope.known)
            return call(*args, **kwargs)

        return step

    def _gated(self, node):
        """Returns the step of a `Gated` layer: its features, and its decisions."""
        layer, (features, _) = node.operation, node.outputs
        averaged = id(features) in self.averages_read
        part = functools.partial(
            Graph, run=self.run, columns=self.columns, place=self.place, averaged=averaged
        )
        then, otherwise = part(layer.then), layer.otherwise and part(layer.otherwise)
        arms = Arms(then, otherwise, layer.num_decisions - layer.groups, features.shape[1:])
        logits = self._logits(layer, node.input_tensors[0])

        def step(scope):
            opened = _decide(layer, logits(scope), scope.odds_of(self.columns[layer.name]))
            inputs = [scope[tensor] for tensor in node.input_tensors]
            averages = [scope.averages.get(id(tensor)) for tensor in node.input_tensors]
            given = inputs, averages, scope.log_odds
            mask, left = masks_through(layer.then, [mask_of(one) for one in inputs])
            if layer.groups > 1:
                # Some of them are open for nearly every image.
                ran, others = _masked(then(*given)[0], opened, layer.groups), []
            else:
                ran, *others = self.run(arms, *given, opened[:, 0])
                if averaged:
                    scope.averages[id(features)] = others.pop(0)
            # A copy of the inputs was run, or they themselves.
            list(map(masked, [ran, *inputs], [mask, *left]))
            return [ran, tf.concat([opened, *others], 1) if others else opened]

        return step

    def _logits(self, layer, source):
        """Returns the function of a `Scope` that makes the logits [B, groups] of a gate."""
        gate, shape = layer.gate, [-1, layer.groups]
        if hasattr(gate, "dense_layers"):
            first, *others = [
                dense(*(self.place(np.asarray(part, "float32")) for part in matrix_and_bias))
                for matrix_and_bias in gate.dense_layers()
            ]

            def of_averages(scope):
                x = first(scope.average(source))
                for product in others:
                    x = product(tf.nn.relu(x))
                return x

            return of_averages
        if hasattr(gate, "affine"):
            product = dense(*(self.place(np.asarray(part, "float32")) for part in gate.affine()))
            return lambda scope: product(
                tf.reshape(scope[source], [-1, math.prod(source.shape[1:])])
            )
        inner = graph_of(gate)
        if inner is not None:
            graph = Graph(fold(inner), self.run, {}, self.place)
            return lambda scope: tf.reshape(graph([scope[source]], [None], None)[0], shape)
        call = as_it_is(gate, self.place)
        return lambda scope: tf.reshape(call(scope[source]), shape)


def _fused(layer, known, sources):
    """Returns the step of a call that a rule knows; the mask behind it is as Keras's."""

    def step(scope):
        inputs = [scope[tensor] for tensor in sources]
        masks = mask_behind(layer, only(inputs), only([mask_of(one) for one in inputs]))
        return masked(known(*inputs), next(iter(masks), None))

    return step


def _decide(layer, logits, log_odds):
    opened = logits > log_odds
    if not layer.keep_one:
        return opened
    greatest = tf.one_hot(tf.argmax(logits, 1), layer.groups, True, False)
    return opened | (greatest & ~tf.reduce_any(opened, 1, keepdims=True))


def _masked(features, opened, groups):
    """Zeros in the place of the closed groups of channels."""
    mask = tf.repeat(tf.cast(opened, features.dtype), features.shape[-1] // groups, axis=1)
    return features * tf.reshape(mask, [-1, *[1] * (features.shape.rank - 2), mask.shape[-1]])


def _zeros_of_convolutions(model):
    """Returns the `ZeroPadding2D` that a convolution can do itself, by id of the convolution."""
    reading, found = readers(model), {}
    for node in nodes(model):
        after = reading[id(node.outputs[0])]
        if type(node.operation) is L.ZeroPadding2D and len(after) == 1 and _can_pad(after[0]):
            found[id(after[0])] = node
    return found


def _can_pad(node):
    # A depthwise one cannot, see `tfgates.export.native`.
    if node is None or type(node.operation) is not L.Conv2D or not reads_only_tensors(node):
        return False
    layer = node.operation
    return (layer.padding, layer.groups, layer.data_format) == ("valid", 1, "channels_last")


def _pools_globally(layer):
    return type(layer) is L.GlobalAveragePooling2D and layer.data_format == "channels_last"


def _reads_averages(operation):
    of_gate = isinstance(operation, Gated) and hasattr(operation.gate, "dense_layers")
    return of_gate or _pools_globally(operation)
