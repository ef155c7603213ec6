"""Exits put into networks: what stays equal, what it costs, where none can be."""

import functools

import keras
import numpy as np
import pytest
from examples import node_of
from keras import layers as L
from own_models import answers, assert_same, inputs_of, randomized, residual_cnn, saved_and_loaded

import tfgates
from tfgates.graph.count import count
from tfgates.network import exits_of, gates, parents
from tfgates.networks.cifar_densenet import block_ends, cifar_densenet
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.policies import AlwaysClosed, AlwaysOpen

SIZE = 16


def densenet():
    return cifar_densenet(16, 10, (SIZE, SIZE, 3), growth=4)


def with_two(model, **options):
    return tfgates.exits(model, block_ends(16), units=4, seed=1, **options)


@functools.cache
def both():
    """A gated DenseNet, and the same with exits at the ends of its first two blocks."""
    gated = tfgates.gate(densenet(), seed=0)
    return gated, with_two(gated)


def test_with_all_gates_open_it_is_the_network():
    gated, network = both()
    images = inputs_of(gated)
    logits, decisions = answers(network, images, AlwaysOpen())
    np.testing.assert_array_equal(logits, answers(gated, images, AlwaysOpen())[0])
    assert decisions.shape == (4, 8)


def test_decisions_come_as_they_are_made_and_know_their_exit():
    _, network = both()
    layers = [[f"block_{block}_layer_{number:02d}" for number in (1, 2)] for block in (1, 2, 3)]
    names = [*layers[0], "exit_1", *layers[1], "exit_2", *layers[2]]
    assert [layer.name for layer in gates(network)] == names
    assert [layer.name for layer in exits_of(network)] == ["exit_1", "exit_2"]
    assert parents(network) == [None, None, None, 2, 2, 2, 5, 5]


def test_an_image_that_leaves_is_classified_at_its_exit():
    _, network = both()
    images = inputs_of(network)
    leaving = tfgates.with_exits(network, AlwaysOpen(), AlwaysClosed())
    logits, decisions = answers(network, images, leaving)
    np.testing.assert_array_equal(decisions, np.repeat([[1, 1, 0, 0, 0, 0, 0, 0]], 4, axis=0))
    end = node_of(network, "block_1_layer_02_concat").outputs[0]
    features = keras.Model(network.input, end)(images, policy=AlwaysOpen())
    np.testing.assert_allclose(logits, exits_of(network)[0].otherwise(features), atol=1e-6)


def test_multiply_adds_are_those_of_what_ran():
    """What the exits add: two products for each number of their features, and the classifiers."""
    gated, network = both()
    plain, counted = count(gated), count(network)
    assert counted.ungated == plain.ungated
    opened = np.ones(8)
    gate_1, gate_2 = 16 * 16 * 16, 8 * 8 * 16  # as many as numbers arrive
    everything = plain.executed(np.ones(6)) + gate_1 + gate_2
    assert counted.executed(opened) == everything
    # Behind the first exit nothing runs, but for the first classifier.
    leaving = 8 * 8 * 9 * 16 * 4 + 4 * 4 * 9 * 4 * 4 + 4 * 10
    before = 16 * 16 * 27 * 8 + sum(plain.branches[:2])
    of_gates = sum(layer.gate.multiply_adds for layer in gates(gated)[:2])
    ran = before + of_gates + gate_1 + leaving
    assert counted.executed([1, 1, 0, 0, 0, 0, 0, 0]) == ran


def test_saved_and_loaded_it_is_the_same(tmp_path):
    network = randomized(with_two(tfgates.gate(densenet(), seed=0)))
    images = inputs_of(network)
    loaded = saved_and_loaded(network, tmp_path)
    assert [layer.name for layer in exits_of(loaded)] == ["exit_1", "exit_2"]
    assert_same(answers(loaded, images), answers(network, images))


def test_a_network_without_other_gates_and_a_softmax():
    plain = residual_cnn()
    network = tfgates.exits(plain, "down_add", units=2)
    images = inputs_of(plain)
    assert [layer.name for layer in gates(network)] == ["exit_1"]
    logits, _ = answers(network, images, AlwaysOpen())
    np.testing.assert_allclose(keras.ops.softmax(logits), plain(images), atol=1e-6)


def test_exits_of_ones_own_in_a_residual_network():
    gated = tfgates.gate(cifar_resnet(14, 10, (SIZE, SIZE, 3)), seed=0)

    def arm(x, classes):
        return L.Dense(classes)(L.GlobalAveragePooling2D()(x))

    network = tfgates.exits(
        gated,
        ["block_03_relu", "block_01_relu"],
        gate=lambda x: tfgates.DependentGate(units=4),
        classifier=arm,
    )
    assert parents(network) == [None, None, None, 2, 2, 2, 5, 5]
    logits = answers(network, inputs_of(network), AlwaysOpen())[0]
    np.testing.assert_array_equal(logits, answers(gated, inputs_of(gated), AlwaysOpen())[0])


def chain(shared):
    """Three convolutions, of which the last two are one layer, or share their ReLU."""
    x = images = keras.Input((8, 8, 3))
    relu, conv = L.ReLU(), L.Conv2D(4, 3, padding="same", name="twice")
    for number in range(3):
        x = conv(x) if shared and number else L.Conv2D(4, 3, padding="same")(x)
        x = L.Identity(name=f"end_{number}")(relu(x))
    return keras.Model(images, L.Dense(5)(L.GlobalAveragePooling2D()(x)), name="chain")


def test_layers_of_both_sides_of_an_exit(tmp_path):
    plain = chain(shared=False)
    network = tfgates.exits(plain, ["end_0", "end_1"], units=1)
    images = inputs_of(plain)
    loaded = saved_and_loaded(network, tmp_path)
    for one in (network, loaded):
        np.testing.assert_allclose(answers(one, images, AlwaysOpen())[0], plain(images), atol=1e-6)
    with pytest.raises(ValueError, match=r"on one side of an exit. Received: twice"):
        tfgates.exits(chain(shared=True), "end_1", units=1)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        ("block_3_layer_02_concat", r"saves what is behind it.*'block_3_layer_02_concat'.*0.00 M"),
        ("block_2_layer_01", r"passes through.*'block_2_layer_01', around which something leads"),
        ("block_4", r"names of layers of cifar_densenet16. Received: 'block_4'"),
        ([], "one layer at least"),
    ],
)
def test_where_no_exit_can_be(at, message):
    with pytest.raises(ValueError, match=message):
        tfgates.exits(both()[0], at, units=4)


def test_no_second_set_of_exits():
    with pytest.raises(ValueError, match="has exits already"):
        tfgates.exits(both()[1], "block_1_layer_01_concat", units=4)
