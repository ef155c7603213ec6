"""Inner filters of a branch: the channels that its last layer with a kernel reads (S2.3)."""

from typing import Any

from tfgates.graph.macs import multiply_adds
from tfgates.graph.nodes import producer


def inner_filters(branch):
    """Returns where a branch is cut for a gate on the channels between two of its layers.

    Args:
        branch: `tfgates.graph.branches.Branch`.

    Returns:
        The tensor with the channels, the nodes that make it, and the other ones of the branch.

    Raises:
        ValueError: the branch has no two such layers, or hands on something else as well.
    """
    filters = _before_last_kernel(branch)
    needed, before = {id(filters)}, list[Any]()
    for node in reversed(branch.nodes):
        if any(id(tensor) in needed for tensor in node.outputs):
            before.insert(0, node)
            needed |= set(map(id, node.input_tensors))
    behind = [node for node in branch.nodes if node not in before]
    made = {id(tensor) for node in before for tensor in node.outputs} - {id(filters)}
    if any(id(tensor) in made for node in behind for tensor in node.input_tensors):
        _refuse(branch, "what leads around them would stay open")
    with_weights = {id(n.operation) for n in before if getattr(n.operation, "weights", [])}
    if any(id(node.operation) in with_weights for node in behind):
        _refuse(branch, "a layer stands on both sides of them")
    return filters, before, behind


def _before_last_kernel(branch):
    """Returns what the last layer with multiply-adds reads, which another one has made."""
    end = branch.end
    while end is not branch.start and not multiply_adds(producer(end)):
        end = producer(end).input_tensors[0]
    filters = branch.start if end is branch.start else producer(end).input_tensors[0]
    if filters is branch.start:
        _refuse(branch, "it has one such layer only")
    return filters


def _refuse(branch, why):
    raise ValueError(
        f"Inner filters are those between two layers with kernels. Received: {branch.name}, where "
        f"{why}. Pass gated='output_filters', or leave it out by `where`."
    )
