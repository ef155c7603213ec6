"""A folded and a sunk model beside the network that they were made of."""

from own_models import answers, assert_same, deciding, inputs_of, some_decisions

from tfgates.graph.folding import fold
from tfgates.graph.nodes import nodes
from tfgates.graph.sinking import sink
from tfgates.network import gates


def kinds(model):
    return [type(node.operation).__name__ for node in nodes(model)]


def all_kinds(model):
    """Those inside of gates too."""
    inside = [kind for layer in gates(model) for kind in kinds(layer.then)]
    return kinds(model) + inside


def assert_folded_and_sunk(network, tolerance=1e-5):
    """Compares answers under random decisions; returns both models."""
    inputs, policy = inputs_of(network), deciding(network, some_decisions(network))
    before = answers(network, inputs, policy)
    folded = fold(network)
    sunk = sink(folded)
    for model in (folded, sunk):
        assert [layer.name for layer in gates(model)] == [layer.name for layer in gates(network)]
        assert_same(answers(model, inputs, policy), before, tolerance)
    return folded, sunk
