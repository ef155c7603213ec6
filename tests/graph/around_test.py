"""A plain model around a network hands the policy down."""

import keras
import pytest
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
from tfgates.graph.gating import gate
from tfgates.network import take_policy
from tfgates.policies import AlwaysOpen


def closed_around(network):
    """A plain model around a network."""
    inputs = keras.Input(network.input.shape[1:])
    return keras.Model(inputs, network(inputs))


def test_a_plain_model_around_a_network_hands_the_policy_down(tmp_path):
    network = randomized(gate(randomized(residual_cnn()), seed=1))
    inputs, policy = inputs_of(network), deciding(network, some_decisions(network))
    outer = closed_around(network)
    for model in (outer, saved_and_loaded(outer, tmp_path)):
        for each in (policy, AlwaysOpen()):
            assert_same(answers(model, inputs, each), answers(network, inputs, each), 1e-6)


def test_a_policy_goes_two_models_down(tmp_path):
    network = randomized(gate(randomized(residual_cnn()), seed=1))
    inputs, policy = inputs_of(network), deciding(network, some_decisions(network))
    outer = closed_around(closed_around(network))
    for model in (outer, saved_and_loaded(outer, tmp_path)):
        assert take_policy(model) is model
        for each in (policy, AlwaysOpen()):
            assert_same(answers(model, inputs, each), answers(network, inputs, each), 1e-6)


def test_a_plain_model_around_a_network_counts_nothing_wrong():
    network = gate(residual_cnn())
    inputs = keras.Input((8, 8, 3))
    outer = keras.Model(inputs, network(inputs)["logits"], name="around")
    with pytest.raises(ValueError, match=r"around hides the decisions of its gates .*'down'"):
        tfgates.count(outer)
