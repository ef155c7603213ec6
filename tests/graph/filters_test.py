"""Gates on groups of filters, in any functional model."""

import keras
import numpy as np
import pytest
from keras import layers as L
from own_models import (
    answers,
    assert_same,
    deciding,
    inputs_of,
    randomized,
    residual_cnn,
    saved_and_loaded,
    some_decisions,
)

import tfgates
from tfgates.gates import DependentGate
from tfgates.graph.gating import gate
from tfgates.graph.logits import without_softmax
from tfgates.network import gates
from tfgates.policies import AlwaysOpen


@pytest.mark.parametrize("gated", ["output_filters", "inner_filters"])
@pytest.mark.parametrize("kind", ["dependent", "independent"])
def test_gates_on_groups_of_filters(gated, kind, tmp_path):
    plain = randomized(residual_cnn())
    network = gate(plain, kind, "down", gated=gated, groups=4, seed=1)
    inputs = inputs_of(plain)
    opened = answers(network, inputs, AlwaysOpen())
    assert opened[1].shape == (4, 4)
    np.testing.assert_allclose(
        opened[0], answers(without_softmax(plain), inputs)[0], rtol=1e-5, atol=1e-6
    )
    decisions = some_decisions(network)
    decisions[0] = False
    policy = deciding(network, decisions)
    answered = answers(network, inputs, policy)
    # All closed, the greatest one stays open.
    assert gates(network)[0].keep_one == (gated == "inner_filters")
    assert answered[1][0].sum() == (gated == "inner_filters")
    np.testing.assert_array_equal(answered[1][1:], decisions[1:])
    loaded = saved_and_loaded(network, tmp_path)
    assert_same(answers(loaded, inputs, policy), answered, 1e-6)


def test_groups_close_neighbouring_channels():
    plain = randomized(residual_cnn())
    network = gate(plain, gated="output_filters", groups=2, where="branch_01", seed=1)
    (layer,) = gates(network)
    features = inputs_of(layer.then)
    decisions = np.array([[1, 1], [0, 1], [1, 0], [0, 0]], bool)
    made, decided = layer(features, policy=deciding(network, decisions))
    mask = decisions.repeat(8, axis=-1)[:, None, None, :]
    np.testing.assert_allclose(made, layer.then(features) * mask, atol=1e-6)
    np.testing.assert_array_equal(decided, decisions)


def around_inner(x):
    y = L.Dense(8)(x)
    return L.Add(name="own_add")([x, L.Dense(8)(L.ReLU()(y)) + y])


def tied(x):
    layer = L.Dense(8)
    return L.Add(name="own_add")([x, layer(L.ReLU()(layer(x)))])


def of_one_layer(x):
    return L.Add(name="own_add")([x, L.Dense(8)(x)])


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (around_inner, "what leads around them would stay open"),
        (tied, "a layer stands on both sides of them"),
        (of_one_layer, "it has one such layer only"),
    ],
)
def test_inner_filters_that_are_not_all_there_is(build, why):
    x = keras.Input((8,))
    with pytest.raises(ValueError, match=f"Received: own.*, where {why}. Pass gated='output_filt"):
        gate(keras.Model(x, build(x)), gated="inner_filters")


def test_a_gate_of_groups_that_are_too_many():
    x = keras.Input((8,))
    then = keras.Model(x, L.Dense(8)(x))
    with pytest.raises(ValueError, match=r"divides the filters, 8 of mine. Received: groups=3"):
        tfgates.Gated(then, DependentGate(groups=3), name="mine")
