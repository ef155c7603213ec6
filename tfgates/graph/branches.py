"""What a gate may close: the branches of a functional model that end in a sum or concatenation."""

import collections
import dataclasses
from typing import Any

import keras

from tfgates.gated import Gated
from tfgates.graph.macs import multiply_adds
from tfgates.graph.naming import branch_name, names_taken
from tfgates.graph.nodes import graph_of, inputs_like, layers_inside, nodes, only, readers, rerun

# `keras.layers.Add`, `a + b` and `ops.add`; a + scale * b of InceptionResNetV2.
SCALED_SUM = "CustomScaleLayer"
SUMS = ("Add", SCALED_SUM)
CONCATENATION = "Concatenate"


@dataclasses.dataclass(frozen=True)
class Branch:
    """A path from one tensor to a sum or concatenation, whose results go nowhere else.

    Attributes:
        name: of the branch: that of its sum, without `_add`.
        start, end: symbolic tensors, what enters it and what it makes.
        nodes: of `tfgates.graph.nodes`, in the order of computation.
        macs: its multiply-adds; sizes that are not known count as 1.
        share: of the multiply-adds of the whole model, in [0, 1].
        identity: whether what leads around it is what enters it, unchanged.
    """

    name: str
    start: Any
    end: Any
    nodes: tuple
    macs: int
    share: float
    identity: bool


class Branches(tuple):
    """The branches of a model, in its order; printed it is a table.

    Attributes:
        refused: dict of the name of every other sum and concatenation -> why it has no branch.
    """

    refused: dict[str, str]

    def __new__(cls, found, refused):
        branches = super().__new__(cls, found)
        branches.refused = refused
        return branches

    def __str__(self):
        width = max((len(name) for name in [*(b.name for b in self), *self.refused]), default=0)
        lines = [
            f"{branch.name:{width}}  {branch.macs:>15,}  {100 * branch.share:5.1f} %"
            for branch in self
        ]
        total = 100 * sum(branch.share for branch in self)
        lines.append(f"{len(self)} branches, {total:.1f} % of the multiply-adds")
        lines += [f"{name:{width}}  none: {why}" for name, why in self.refused.items()]
        return "\n".join(lines)


def branches(model):
    """Finds what a gate may close in a functional model, outer branches before those inside.

    Of a sum of two tensors that is the dearer side that is a path of its own from a tensor which
    reaches the sum past it too; of a concatenation the part that is made of the other one alone.

    Args:
        model: functional model, built; inner models are looked into.

    Returns:
        `Branches`.

    Raises:
        ValueError: not a functional model, or several inputs or outputs.
        TypeError: a layer with weights that no rule counts.
    """
    return paths(flat(model))


def flat(model):
    """Returns a functional model without models inside; the model itself where it has none.

    Raises:
        ValueError: not a functional model, or several inputs or outputs.
    """
    graph = graph_of(model)
    if graph is None:
        raise ValueError(
            f"{type(model).__name__} {getattr(model, 'name', model)!r} is not a functional model, "
            "so its branches cannot be seen. Build it from keras.Input with keras.Model(inputs, "
            "outputs)."
        )
    if any(isinstance(layer, Gated) for layer in layers_inside(graph)):
        raise ValueError(f"{graph.name} is gated already. Pass the plain model.")
    if len(graph.inputs) > 1 or len(graph.outputs) > 1:
        raise ValueError(
            f"A model to be gated has one input and one output. Received: {graph.name} with "
            f"{len(graph.inputs)} and {len(graph.outputs)}. Gate the part between one tensor and "
            "another, keras.Model(start, end), and put the rest around it."
        )
    if not any(graph_of(node.operation) for node in nodes(graph)):
        return graph
    inputs = inputs_like(graph)
    value = rerun(graph, inputs)
    return keras.Model(only(inputs), value[id(graph.outputs[0])], name=graph.name)


def paths(model):
    """Returns the `Branches` of a model without models inside, of which some may be gated."""
    order, reading = nodes(model), readers(model)
    calls = collections.Counter(id(node.operation) for node in order)
    makers = {id(tensor): node for node in order for tensor in node.outputs}
    found, refused, taken = [], {}, set()
    for join in reversed(order):
        kind, parts = type(join.operation).__name__, join.input_tensors
        if kind not in (*SUMS, CONCATENATION) or id(join) in taken or len(parts) < 2:
            continue
        try:
            start, end, inside = _side(join, parts, order, reading, makers, calls)
        except _NoBranchError as error:
            refused[join.operation.name] = str(error)
            continue
        identity = any(part is start for part in parts)
        macs = sum(map(multiply_adds, inside))
        found.append((join.operation, start, end, inside, macs, identity))
        taken |= set(map(id, inside))
    total, named = max(1, sum(map(multiply_adds, order))), []
    names = names_taken([node.operation for node in order])
    for index, (join, start, end, inside, macs, identity) in enumerate(reversed(found)):
        name = branch_name(join, [node.operation for node in inside], index, names)
        names.add(name)
        named.append(Branch(name, start, end, inside, macs, macs / total, identity))
    return Branches(named, dict(reversed(refused.items())))


class _NoBranchError(Exception):
    """Why a sum has no branch."""


def _side(join, parts, order, reading, makers, calls):
    """Returns start, end and nodes of the branch that ends in a join."""
    kind = type(join.operation).__name__
    if len(parts) > 2:
        raise _NoBranchError(f"it joins {len(parts)} tensors, not two")
    if kind in SUMS and parts[0].shape != parts[1].shape:
        raise _NoBranchError(f"the shapes {parts[0].shape} and {parts[1].shape} differ")
    candidates, why = [], []
    for end, other in (parts, parts[::-1]):
        if kind == SCALED_SUM and end is parts[0]:
            continue
        try:
            start, inside = _path(end, order, reading, makers)
            _require(kind, start, other, inside, makers, calls)
            candidates.append((sum(map(multiply_adds, inside)), start, end, inside))
        except _NoBranchError as error:
            why.append(str(error))
    if not candidates:
        raise _NoBranchError("; ".join(dict.fromkeys(why)))
    # Of equal sides the second: what is added to the other one.
    macs, *side = max(reversed(candidates), key=lambda candidate: candidate[0])
    if not macs:
        raise _NoBranchError("its sides have no multiply-adds")
    return side


def _path(end, order, reading, makers):
    """Returns the one tensor that a side starts from, and the nodes whose results reach only it."""
    last = makers.get(id(end))
    if last is None or sum(len(reading.get(id(tensor), ())) for tensor in _results(last)) != 1:
        raise _NoBranchError("what it joins is read elsewhere too")
    inside = {id(last): last}
    for node in reversed(order[: order.index(last)]):
        uses = [use for tensor in _results(node) for use in reading.get(id(tensor), ())]
        if all(id(use) in inside for use in uses):
            inside[id(node)] = node
    entering = [tensor for node in inside.values() for tensor in node.input_tensors]
    starts = {id(t): t for t in entering if id(makers.get(id(t))) not in inside}
    if len(starts) != 1:
        raise _NoBranchError(f"a side starts from {len(starts)} tensors, not from one")
    return next(iter(starts.values())), tuple(reversed(inside.values()))


def _results(node):
    """What a call makes, but for the decisions of a gate, which leave the model beside it."""
    return node.outputs[:1] if isinstance(node.operation, Gated) else node.outputs


def _require(kind, start, other, inside, makers, calls):
    """Refuses a side that nothing leads around, or whose weights are used elsewhere."""
    if kind == CONCATENATION:
        if other is not start:
            raise _NoBranchError("no part of it is made of the other one alone")
    elif not _reaches(start, other, makers):
        raise _NoBranchError("nothing leads around a side of it")
    of_branch = collections.Counter(id(node.operation) for node in inside)
    for node in inside:
        elsewhere = calls[id(node.operation)] > of_branch[id(node.operation)]
        if elsewhere and getattr(node.operation, "weights", []):
            raise _NoBranchError(f"the layer {node.operation.name} is used elsewhere too")


def _reaches(start, tensor, makers):
    """Whether a tensor is computed from another one, or is that one."""
    seen, waiting = set(), [tensor]
    while waiting:
        tensor = waiting.pop()
        if tensor is start:
            return True
        if id(tensor) not in seen and id(tensor) in makers:
            seen.add(id(tensor))
            waiting += makers[id(tensor)].input_tensors
    return False
