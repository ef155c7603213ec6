"""A pruned network beside the one that it was made of."""

from own_models import answers, assert_same, deciding, inputs_of, randomized, some_decisions

from tfgates.graph.gating import gate
from tfgates.graph.pruning import prune
from tfgates.network import columns
from tfgates.networks.cifar_resnet import cifar_resnet


def gated_resnet():
    """Three blocks, one with an identity shortcut and two with projections."""
    return gate(randomized(cifar_resnet(8, 10, (8, 8, 3))), seed=1)


def decided(network, fixed, count=4):
    """Random decisions, but for those that are made."""
    decisions = some_decisions(network, count)
    for column, decision in fixed.items():
        decisions[:, column] = decision
    return decisions


def assert_pruned(network, fixed):
    """Compares the answers of a network and of its pruned one, which it returns."""
    inputs, decisions = inputs_of(network), decided(network, fixed)
    before = answers(network, inputs, deciding(network, decisions))
    pruned = prune(network, fixed)
    live = [column for name in columns(pruned) for column in _range(columns(network)[name])]
    assert not set(live) & set(fixed)
    after = answers(pruned, inputs, deciding(pruned, decisions[:, live]))
    assert_same(after, (before[0], before[1][:, live]))
    return pruned


def _range(columns):
    return range(columns.start, columns.stop)
