"""Multiply-adds of one image, counted from shapes, linear in the decisions."""

import dataclasses
import math

import numpy as np

from tfgates.gated import Gated
from tfgates.graph.channels import SEPARABLE, slicing_readers, writers
from tfgates.graph.macs import multiply_adds, of_gate
from tfgates.graph.nodes import graph_of, nodes, readers, require_graph
from tfgates.graph.rebuilding import of_shape
from tfgates.network import gates


@dataclasses.dataclass(frozen=True)
class Costs:
    """The multiply-adds of one image through a network.

    Attributes:
        always: what runs whatever the decisions are, gates left out.
        gates: of the gates that always run; those inside of a branch count with it.
        branches: what a closed decision leaves out of the exported network, [G]: the branch behind
            its gate. A group of filters is left out where that is the same for every image, of
            gates that look at none; those of others are computed, and masked.
        removable: what goes with each decision once it is closed for good, [G].
        ungated: of the same network without gates, where every branch runs.
    """

    always: int
    gates: int
    branches: tuple[int, ...]
    removable: tuple[int, ...]
    ungated: int

    def executed(self, decisions):
        """Of the parts that run under the given decisions.

        Args:
            decisions: [..., G], 1 where the branch runs, or rates in [0, 1] for the mean.

        Returns:
            NumPy float64 [...].
        """
        branches = np.asarray(self.branches, "float64")
        return self.always + self.gates + np.asarray(decisions, "float64") @ branches


def count(model, input_shape=None):
    """Counts the multiply-adds of a functional model, of which some parts may be gated.

    Args:
        model: functional model, or `keras.Sequential` that is built.
        input_shape: (H, W, C) of an image, where the model takes images of any size.

    Returns:
        `Costs`.

    Raises:
        TypeError: a layer with weights, or a product, that no rule counts.
        ValueError: not a functional model; it takes images of any size, and `input_shape` is not
            given; a layer makes what has no fixed size; or it has gates, and does not return their
            decisions.
    """
    model = require_graph(model)
    if input_shape is not None:
        model = of_shape(model, (None, *input_shape))
    if any(None in tensor.shape[1:] for tensor in model.inputs):
        raise ValueError(
            f"{model.name} takes inputs of any size, {model.inputs[0].shape[1:]}. Pass "
            "input_shape=(H, W, C) to count the multiply-adds of one of them."
        )
    counted = _Counted()
    always, of_gates = counted.total(model)
    if hidden := set(counted.branches) - {layer.name for layer in gates(model)}:
        raise ValueError(
            f"{model.name} hides the decisions of its gates {sorted(hidden)}, on which its "
            'multiply-adds depend. Let it return {"logits": ..., "decisions": ...}.'
        )
    branches, removable = (
        tuple(macs for layer in gates(model) for macs in of_layer[layer.name])
        for of_layer in (counted.branches, counted.removable)
    )
    ungated = always + sum(branches) - counted.gates_inside
    return Costs(always, of_gates, branches, removable, ungated)


def count_parameters(model):
    """Counts the parameters that training moves: moments of batch norm and noise are none."""
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


class _Counted:
    """What each gate of a model leaves out, by the name of its layer."""

    def __init__(self):
        self.branches: dict[str, list[int]] = {}
        self.removable: dict[str, list[int]] = {}
        self.gates_inside = 0

    def total(self, model):
        """Returns what always runs of a model, and its gates that always run."""
        always, of_gates, reading = 0, 0, readers(model)
        for node in nodes(model):
            layer, inner = node.operation, graph_of(node.operation)
            if isinstance(layer, Gated):
                always += self._gated(node, reading)
                of_gates += of_gate(layer.gate, node.input_tensors[0].shape)
            elif inner is not None:
                both = self.total(of_shape(inner, *(part.shape for part in node.input_tensors)))
                always, of_gates = always + both[0], of_gates + both[1]
            else:
                always += _of_known_size(node)
        return always, of_gates

    def _gated(self, node, reading):
        """Notes what the decisions of a layer leave out; returns what it runs all the same."""
        layer, shapes = node.operation, [part.shape for part in node.input_tensors]
        arms = layer.then, layer.otherwise
        then, otherwise = (arm and of_shape(arm, *shapes) for arm in arms)
        macs, gates_inside = self.total(then)
        self.gates_inside += gates_inside
        macs += gates_inside
        if layer.groups == 1:
            other = sum(self.total(otherwise)) if otherwise else 0
            self.branches[layer.name] = self.removable[layer.name] = [macs - other]
            return other
        both = sum(map(_of_channels_made, writers(then) or ()))
        if layer.keep_one and both:
            both += sum(map(multiply_adds, slicing_readers(reading[id(node.outputs[0])])))
        shares = [both // layer.groups] * layer.groups
        data_dependent = getattr(layer.gate, "data_dependent", True)
        left_out = [0] * len(shares) if data_dependent else shares
        self.branches[layer.name], self.removable[layer.name] = left_out, shares
        return macs - sum(left_out)


def _of_known_size(node):
    macs, shape = multiply_adds(node), node.outputs[0].shape
    if macs and None in shape[1:]:
        raise ValueError(
            f"The size of what {node.operation.name} makes is not known before it runs, {shape}, "
            "nor are its multiply-adds. Give its layer a fixed output shape."
        )
    return macs


def _of_channels_made(node):
    """Multiply-adds of a call that are in proportion to the channels that it makes."""
    layer, macs = node.operation, multiply_adds(node)
    if type(layer) not in SEPARABLE:
        return macs
    read, made = (math.prod(k.shape) for k in (layer.depthwise_kernel, layer.pointwise_kernel))
    return macs * made // (read + made)
