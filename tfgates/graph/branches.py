"""What a gate may close: the branches of a functional model that end in a sum or concatenation."""

import collections
import dataclasses
from typing import Any

from tfgates.gated import Gated
from tfgates.graph.macs import multiply_adds
from tfgates.graph.naming import branch_name, names_taken
from tfgates.graph.nodes import (
    graph_of,
    keras_kind,
    layers_inside,
    nodes,
    readers,
    require_graph,
)
from tfgates.graph.rebuilding import rebuilt
from tfgates.graph.sides import CONCATENATION, SUMS, NoBranchError, branch_side


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
    graph = require_graph(model)
    if any(isinstance(layer, Gated) for layer in layers_inside(graph)):
        raise ValueError(f"{graph.name} is gated already. Pass the plain model.")
    if len(graph.inputs) > 1 or len(graph.outputs) > 1:
        raise ValueError(
            f"A model to be gated has one input and one output. Received: {graph.name} with "
            f"{len(graph.inputs)} and {len(graph.outputs)}. Gate the part between one tensor and "
            "another, keras.Model(start, end), and put the rest around it."
        )
    return rebuilt(graph) if any(graph_of(node.operation) for node in nodes(graph)) else graph


def paths(model):
    """Returns the `Branches` of a model without models inside, of which some may be gated."""
    order, reading = nodes(model), readers(model)
    calls = collections.Counter(id(node.operation) for node in order)
    makers = {id(tensor): node for node in order for tensor in node.outputs}
    found, refused, taken = [], {}, set()
    for join in reversed(order):
        kind, parts = keras_kind(join.operation), join.input_tensors
        if kind not in (*SUMS, CONCATENATION) or id(join) in taken or len(parts) < 2:
            continue
        try:
            start, end, inside = branch_side(join, order, reading, makers, calls)
        except NoBranchError as error:
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
