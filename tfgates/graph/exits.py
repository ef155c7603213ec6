"""Puts early exits into a functional model: images may leave where a gate says so (section 5)."""

import collections
from typing import Any

import keras
from keras import layers as L

from tfgates.early_exit import ExitGate
from tfgates.gated import Gated, joined
from tfgates.gates import full_precision
from tfgates.graph.gating import noise_streams
from tfgates.graph.logits import without_softmax
from tfgates.graph.macs import multiply_adds
from tfgates.graph.nodes import (
    arguments,
    graph_of,
    inputs_like,
    listed,
    nodes,
    only,
    repeat,
    require_graph,
)
from tfgates.graph.outputs import features_and_decisions
from tfgates.graph.rebuilding import rebuilt
from tfgates.network import Network, columns, exits_of


def exits(model, at, *, gate=None, classifier=None, units=128, synchronized=False, seed=None):
    """Puts exits into a functional model, gated or not.

    Exit e is `Gated(then=all that is behind it, otherwise=a classifier)` and has the name
    `exit_e`; of several each lies inside of the one before. Decisions come in the order in which
    they are made.

    Args:
        model: functional model of one input of a fixed size: images -> logits [B, K], and decisions
            where it has gates. A softmax at its end is left out. The result shares its layers.
        at: names of the layers behind which an image may leave, in any order. All that the network
            answers has to pass through each of them.
        gate: function of the features [B, H, W, C], a symbolic tensor, that returns the gate of an
            exit, whose logits are those of going on; None makes an `ExitGate` of `units`.
        classifier: function of such features and K that returns the logits of an exit; None is
            `exit_classifier` of `units`.
        units: width of gates and classifiers; the paper takes 128, which is dear on wide features.
        synchronized: batch norm over all replicas instead of over each one's share.
        seed: of the noise of the exits; None takes one from Python's generator.

    Returns:
        `Network`. With all gates open it equals the model.

    Raises:
        ValueError: a name of no layer, or of one that something leads around; an exit that costs as
            much as what it saves; exits in a model that has some.
    """
    graph = require_graph(model)
    inner = any(graph_of(node.operation) for node in nodes(graph))
    graph = rebuilt(graph) if inner else graph
    graph = without_softmax(graph) if len(graph.outputs) == 1 else graph
    if exits_of(graph):
        raise ValueError(f"{model.name} has exits already. Pass the model without them.")
    if len(graph.inputs) > 1:
        raise ValueError(f"A model with exits has one input. Received: {len(graph.inputs)}.")
    parts = _parts(graph, [at] if isinstance(at, str) else list(at))
    seeds = noise_streams(seed, len(parts) - 1)
    make_gate = gate or (lambda x: ExitGate(units, synchronized=synchronized))
    make_arm = classifier or (
        lambda x, classes: exit_classifier(x, classes, units, synchronized=synchronized)
    )
    return _Exits(graph, parts, make_gate, make_arm, seeds).network()


def exit_classifier(x, classes, units=128, *, synchronized=False):
    """The classifier of MSDNet's exits (Huang et al., 2018), which ends in an average.

    Twice conv 3x3 of stride 2 -> batch norm -> ReLU; the average over the pixels; dense.

    Args:
        x: features [B, H, W, C].
        classes: their number K.
        units: width of both convolutions.
        synchronized: see `exits`.

    Returns:
        Logits [B, K].
    """
    for _ in range(2):
        x = L.Conv2D(units, 3, 2, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
        x = L.BatchNormalization(momentum=0.9, epsilon=1e-5, synchronized=synchronized)(x)
        x = L.ReLU()(x)
    return L.Dense(classes, dtype=full_precision())(L.GlobalAveragePooling2D()(x))


class _Part:
    """What lies between two exits: calls, from a tensor to another one."""

    def __init__(self, name, start, end, calls):
        self.name, self.start, self.end, self.calls = name, start, end, calls
        self.operations = {id(node.operation) for node in calls}


def _parts(graph, names):
    """Cuts a model at the layers of some names, in the order of computation."""
    order = nodes(graph)
    tensors = {node.operation.name: node.outputs[0] for node in order}
    for name in names:
        if name not in tensors:
            raise ValueError(
                f"`at` has names of layers of {graph.name}. Received: {name!r}. `model.summary()` "
                "lists them."
            )
    names = [node.operation.name for node in order if node.operation.name in set(names)]
    if not names:
        raise ValueError("`at` has the name of one layer at least. Received: none.")
    ends = [tensors[name] for name in names] + [features_and_decisions(graph)[0]]
    starts = [graph.inputs[0], *ends]
    return [
        _Part(name, start, end, _between(start, end, order, name))
        for name, start, end in zip((None, *names), starts, ends, strict=False)
    ]


def _between(start, end, order, name):
    """Returns the calls that make a tensor of another one, and of nothing else."""
    needed, calls = {id(end)}, list[Any]()
    for node in reversed(order):
        if any(id(tensor) in needed and tensor is not start for tensor in node.outputs):
            calls.insert(0, node)
            needed |= set(map(id, node.input_tensors))
    made = {id(tensor) for node in calls for tensor in node.outputs} | {id(start)}
    if needed - made:
        raise ValueError(
            "All that a network answers passes through the layer before an exit. Received: "
            f"{name!r}, around which something leads. Name the sum or concatenation behind it."
        )
    return calls


class _Exits:
    """Builds the network from its parts, the last one first.

    Args:
        graph: functional model.
        parts: list of `_Part`.
        make_gate, make_arm: see `exits`.
        seeds: of the noise of each exit.
    """

    def __init__(self, graph, parts, make_gate, make_arm, seeds):
        self.graph, self.parts, self.seeds = graph, parts, seeds
        self.make_gate, self.make_arm = make_gate, make_arm
        self.columns = columns(graph)
        self.classes = features_and_decisions(graph)[0].shape[-1]
        used = collections.Counter(one for part in parts for one in part.operations)
        self.shared = {one for one, times in used.items() if times > 1}

    def network(self):
        inputs = inputs_like(self.graph)
        logits, decisions = self._from(0, only(inputs))
        outputs = {"logits": logits, "decisions": joined(decisions, "decisions")}
        return Network(only(inputs), outputs, name=self.graph.name)

    def _from(self, index, start):
        """Calls a part and all behind it; returns logits, and a list of decisions."""
        part = self.parts[index]
        value = repeat(part.calls, {id(part.start): start}, self._own_layer(index))
        layers = [node for node in part.calls if isinstance(node.operation, Gated)]
        layers.sort(key=lambda node: self.columns[node.operation.name].start)
        decisions = [value[id(node.outputs[1])] for node in layers]
        end = value[id(part.end)]
        if index == len(self.parts) - 1:
            return end, decisions
        logits, opened = self._exit(index + 1, end)
        return logits, [*decisions, opened]

    def _exit(self, number, features):
        """Calls exit `number`, from 1, on features."""
        name = f"exit_{number}"
        start = keras.Input(batch_shape=features.shape, dtype=features.dtype)
        logits, inside = self._from(number, start)
        after = [logits, joined(inside, f"{name}_decisions")] if inside else logits
        then = keras.Model(start, after, name=f"{name}_then")
        leaving = keras.Input(batch_shape=features.shape, dtype=features.dtype)
        arm = keras.Model(leaving, self.make_arm(leaving, self.classes), name=f"{name}_classifier")
        self._require_saving(number, arm)
        layer = Gated(then, self.make_gate(features), arm, seed=self.seeds[number - 1], name=name)
        return layer(features)

    def _require_saving(self, number, arm):
        behind = sum(multiply_adds(node) for part in self.parts[number:] for node in part.calls)
        leaving = sum(map(multiply_adds, nodes(arm)))
        if leaving >= behind:
            raise ValueError(
                "An exit saves what is behind it. Received: an exit behind "
                f"{self.parts[number].name!r}, where {behind / 1e6:,.2f} M multiply-adds remain "
                f"and its classifier takes {leaving / 1e6:,.2f} M. Put it further forward, or "
                "pass fewer `units`."
            )

    def _own_layer(self, index):
        """Returns what `repeat` asks: layers of several parts are copied, or refused."""
        copies: dict[int, keras.layers.Layer] = {}

        def replace(node, value):
            layer = node.operation
            if id(layer) not in self.shared or not isinstance(layer, keras.layers.Layer):
                return None
            if layer.weights:
                raise ValueError(
                    "A layer with weights lies on one side of an exit. Received: "
                    f"{layer.name}, which is called on both. Put the exit elsewhere."
                )
            if index and id(layer) not in copies:
                config = {**layer.get_config(), "name": f"{layer.name}_{index}"}
                copies[id(layer)] = type(layer).from_config(config)
            args, kwargs = arguments(node, value)
            return listed(copies.get(id(layer), layer)(*args, **kwargs))

        return replace
