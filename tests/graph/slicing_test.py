"""Closed groups of filters are sliced out of the layers around them."""

import keras
import numpy as np
import pytest
from keras import layers as L
from own_models import randomized, residual_cnn
from pruned import assert_pruned

from tfgates.graph.branches import branches
from tfgates.graph.count import count
from tfgates.graph.gating import gate
from tfgates.graph.pruning import fully_decided, prune

GROUPS = [
    {0: True, 1: False, 2: True, 3: False},
    {0: False, 1: False, 2: False, 3: True},
    {0: True, 1: True, 2: True, 3: True},
]


@pytest.mark.parametrize("fixed", GROUPS, ids=str)
@pytest.mark.parametrize("gated", ["output_filters", "inner_filters"])
def test_groups_are_sliced(gated, fixed):
    plain = randomized(residual_cnn())
    network = gate(plain, "independent", "down", gated=gated, groups=4, seed=1)
    pruned, branch = assert_pruned(network, fixed), branches(plain)[0]
    first, second = [
        node.operation.name for node in branch.nodes if node.operation.name[:4] == "conv"
    ]
    kept = sum(fixed.values()) * 4
    into, made = pruned.get_layer(first), pruned.get_layer(second)
    if gated == "output_filters":
        assert made.kernel.shape == (3, 3, 16, kept)
    else:
        assert (into.kernel.shape, made.kernel.shape) == ((3, 3, 8, kept), (3, 3, kept, 16))
    full, decisions = count(network), np.array([fixed[column] for column in range(4)])
    assert count(pruned).always == full.executed(decisions)
    assert full.branches == full.removable


def test_all_groups_closed():
    network = gate(randomized(residual_cnn()), where="down", gated="output_filters", seed=1)
    assert_pruned(network, dict.fromkeys(range(4), False))
    inner = gate(randomized(residual_cnn()), where="down", gated="inner_filters", seed=1)
    # One group would stay open, which one depends on the image.
    assert fully_decided(inner, dict.fromkeys(range(4), False)) == {}
    assert prune(inner, dict.fromkeys(range(4), False)) is inner


def test_groups_of_which_some_are_live_stay():
    network = gate(randomized(residual_cnn()), where="down", gated="output_filters", seed=1)
    assert fully_decided(network, {0: True, 1: False, 2: True}) == {}
    assert prune(network, {0: True, 1: False, 2: True}) is network


def narrow(x):
    """As of a MobileNet: the channels between are made one by one."""
    x = L.ReLU(6.0)(L.BatchNormalization()(L.Conv2D(16, 1)(x)))
    x = L.ReLU(6.0)(L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same")(x)))
    return L.BatchNormalization()(L.Conv2D(8, 1)(x))


def of_two_readers(x):
    x = L.ReLU()(L.Conv2D(16, 1)(x))
    return L.Conv2D(8, 1)(x) + L.Conv2D(8, 3, padding="same")(x)


def read_by_a_product_too(x):
    x = L.ReLU()(L.Conv2D(8, 1)(x))
    return L.Conv2D(8, 1)(x) * x


def read_by_a_separable_one(x):
    return L.SeparableConv2D(8, 3, padding="same")(L.ReLU()(L.SeparableConv2D(16, 1)(x)))


def read_by_a_depthwise_one(x):
    return L.DepthwiseConv2D(3, padding="same")(L.Conv2D(8, 1)(x))


def behind_a_leaky_relu(x):
    return L.Conv2D(8, 1)(L.LeakyReLU()(L.Conv2D(16, 1)(x)))


def behind_a_softmax(x):
    return L.Conv2D(8, 1)(L.Conv2D(16, 1, activation="softmax")(x))


def squeezed(x):
    x = L.Conv2D(16, 1, activation="silu")(x)
    y = L.GlobalAveragePooling2D(keepdims=True)(x)
    return L.Conv2D(8, 1)(L.Multiply()([x, L.Conv2D(16, 1, activation="sigmoid")(y)]))


# And which of its layers are sliced, by their kind, for half of the groups.
SLICED = {
    narrow: ["Conv2D", "BatchNormalization", "DepthwiseConv2D", "BatchNormalization", "Conv2D"],
    of_two_readers: ["Conv2D", "Conv2D", "Conv2D"],
    read_by_a_product_too: ["Conv2D", "Conv2D"],
    read_by_a_separable_one: ["SeparableConv2D"],
    read_by_a_depthwise_one: ["Conv2D"],
    behind_a_leaky_relu: [],
    behind_a_softmax: [],
    squeezed: [],
}


@pytest.mark.parametrize("build", SLICED, ids=lambda build: build.__name__)
def test_what_cannot_be_sliced_is_set_to_zero(build):
    x = images = keras.Input((8, 8, 8))
    x = L.Add(name="own_add")([x, build(x)])
    plain = randomized(keras.Model(images, L.Dense(3)(L.GlobalAveragePooling2D()(x))))
    network = gate(plain, "independent", gated="inner_filters", groups=4, seed=1)
    fixed = {0: True, 1: False, 2: False, 3: True}
    pruned = assert_pruned(network, fixed)
    before = {id(layer) for layer in plain.layers}
    new = [layer for layer in pruned.layers if id(layer) not in before and layer.weights]
    assert sorted(type(layer).__name__ for layer in new) == sorted(SLICED[build])
    # What is said to go goes.
    assert count(pruned).always == count(network).executed([1, 0, 0, 1])


def test_output_filters_of_a_block_that_ends_otherwise():
    x = images = keras.Input((8, 8, 8))
    x = L.Add(name="own_add")([x, L.LeakyReLU()(L.Conv2D(8, 1)(x))])
    plain = randomized(keras.Model(images, L.Dense(3)(L.GlobalAveragePooling2D()(x))))
    network = gate(plain, "independent", gated="output_filters", groups=2, seed=1)
    pruned = assert_pruned(network, {0: False, 1: True})
    assert pruned.get_layer("own_kept").scale == [0.0] * 4 + [1.0] * 4
    assert count(network).removable == (0, 0)
