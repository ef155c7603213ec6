"""Which side of a sum or concatenation is a branch, a path of its own that may be left out."""

import collections

from tfgates.gated import Gated
from tfgates.graph.macs import multiply_adds
from tfgates.graph.nodes import keras_kind

# `keras.layers.Add`, `a + b` and `ops.add`; a + scale * b of InceptionResNetV2.
SCALED_SUM = "CustomScaleLayer"
SUMS = ("Add", SCALED_SUM)
CONCATENATION = "Concatenate"


class NoBranchError(Exception):
    """Why a sum has no branch."""


def branch_side(join, order, reading, makers, calls):
    """Finds the side of a join that is its branch.

    Args:
        join: node of a sum or concatenation of several tensors.
        order: nodes of the model, in the order of computation.
        reading: their readers, of `tfgates.graph.nodes.readers`.
        makers: by id of a tensor, the node that makes it.
        calls: by id of an operation, how often the model calls it.

    Returns:
        Start and end, symbolic tensors, and the tuple of the nodes between them.

    Raises:
        NoBranchError: no side of it may be closed.
    """
    kind, parts = keras_kind(join.operation), join.input_tensors
    if len(parts) > 2:
        raise NoBranchError(f"it joins {len(parts)} tensors, not two")
    if kind in SUMS and parts[0].shape != parts[1].shape:
        raise NoBranchError(f"the shapes {parts[0].shape} and {parts[1].shape} differ")
    candidates, why = [], []
    for end, other in (parts, parts[::-1]):
        if kind == SCALED_SUM and end is parts[0]:
            continue
        try:
            start, inside = _path(end, order, reading, makers)
            _require(kind, start, other, inside, makers, calls)
            candidates.append((sum(map(multiply_adds, inside)), start, end, inside))
        except NoBranchError as error:
            why.append(str(error))
    if not candidates:
        raise NoBranchError("; ".join(dict.fromkeys(why)))
    # Of equal sides the second: what is added to the other one.
    macs, *side = max(reversed(candidates), key=lambda candidate: candidate[0])
    if not macs:
        raise NoBranchError("its sides have no multiply-adds")
    return side


def _path(end, order, reading, makers):
    """Returns the one tensor that a side starts from, and the nodes whose results reach only it."""
    last = makers.get(id(end))
    if last is None or sum(len(reading.get(id(tensor), ())) for tensor in _results(last)) != 1:
        raise NoBranchError("what it joins is read elsewhere too")
    inside = {id(last): last}
    for node in reversed(order[: order.index(last)]):
        uses = [use for tensor in _results(node) for use in reading.get(id(tensor), ())]
        if all(id(use) in inside for use in uses):
            inside[id(node)] = node
    entering = [tensor for node in inside.values() for tensor in node.input_tensors]
    starts = {id(t): t for t in entering if id(makers.get(id(t))) not in inside}
    if len(starts) != 1:
        raise NoBranchError(f"a side starts from {len(starts)} tensors, not from one")
    return next(iter(starts.values())), tuple(reversed(inside.values()))


def _results(node):
    """What a call makes, but for the decisions of a gate, which leave the model beside it."""
    return node.outputs[:1] if isinstance(node.operation, Gated) else node.outputs


def _require(kind, start, other, inside, makers, calls):
    """Refuses a side that nothing leads around, or whose weights are used elsewhere."""
    if kind == CONCATENATION:
        if other is not start:
            raise NoBranchError("no part of it is made of the other one alone")
    elif not _reaches(start, other, makers):
        raise NoBranchError("nothing leads around a side of it")
    of_branch = collections.Counter(id(node.operation) for node in inside)
    for node in inside:
        elsewhere = calls[id(node.operation)] > of_branch[id(node.operation)]
        if elsewhere and getattr(node.operation, "weights", []):
            raise NoBranchError(f"the layer {node.operation.name} is used elsewhere too")


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
