"""The gated layer: what is closed, open, scaled, nested, or decided group by group."""

import keras
import keras_cv
import numpy as np
import pytest
import tensorflow as tf
from examples import exits_network, node_of, randomize, set_odds, small_network

import tfgates
from tfgates.gates import DependentGate, IndependentGate
from tfgates.network import gates, take_policy
from tfgates.policies import AlwaysOpen, Expected, Sample, Threshold
from tfgates.stochastic_depth import FixedGate

POLICIES = [Sample(), Threshold(), AlwaysOpen(), Expected()]


@pytest.fixture
def features():
    return np.random.default_rng(0).random((6, 8, 8, 16), "float32")


def block_with_log_odds(log_odds, name="block_00"):
    """Returns a model, features -> what a residual block makes of them, and decisions."""
    network = set_odds(randomize(small_network("independent")), log_odds)
    gated, relu = node_of(network, name), node_of(network, f"{name}_relu")
    outputs = [relu.outputs[0], gated.outputs[1]]
    return take_policy(keras.Model(gated.input_tensors[0], outputs)), gated.operation


def test_a_closed_identity_block_is_exactly_the_identity(features):
    block, _ = block_with_log_odds(-1.0)
    outputs, decisions = block(features, policy=Threshold())
    np.testing.assert_array_equal(outputs, features)
    np.testing.assert_array_equal(decisions, np.zeros((6, 1)))


def test_a_closed_projection_block_is_its_shortcut(features):
    block, _ = block_with_log_odds(-1.0, "block_01")
    outputs, _ = block(features, policy=Threshold())
    shortcut = keras.Model(block.input, node_of(block, "block_01_project_norm").outputs[0])
    np.testing.assert_array_equal(outputs, keras.ops.relu(shortcut(features)))
    assert outputs.shape == (6, 4, 4, 32)


def test_an_open_block_equals_the_block_without_gate(features):
    block, layer = block_with_log_odds(0.0)
    opened, _ = block(features, policy=AlwaysOpen())
    np.testing.assert_allclose(opened, keras.ops.relu(features + layer.then(features)), atol=1e-6)


def test_images_of_a_batch_open_and_close_on_their_own(features):
    block, layer = block_with_log_odds(0.0)
    outputs, decisions = block(features, policy=Sample())
    assert 0 < np.sum(decisions) < 6
    branch = np.asarray(layer.then(features))
    for image, opened in enumerate(np.ravel(decisions)):
        expected = np.maximum(features[image] + opened * branch[image], 0)
        np.testing.assert_allclose(outputs[image], expected, atol=1e-6)


def test_expected_is_stochastic_depth_at_test_time(features):
    block, layer = block_with_log_odds(np.log(0.8 / 0.2))
    scaled, decisions = block(features, policy=Expected())
    np.testing.assert_allclose(decisions, np.full((6, 1), 0.8), rtol=1e-6)
    reference = keras_cv.layers.StochasticDepth(rate=0.2)
    expected = keras.ops.relu(reference([features, layer.then(features)], training=False))
    np.testing.assert_allclose(scaled, expected, atol=1e-6)


def conv(name=None, norm=False):
    """Returns a model of one convolution, with or without a batch norm at its end."""
    inputs = keras.Input((8, 8, 16))
    outputs = keras.layers.Conv2D(8, 3, padding="same", bias_initializer="ones")(inputs)
    if norm:
        outputs = keras.layers.BatchNormalization()(outputs)
    return keras.Model(inputs, outputs, name=name)


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_with_a_norm_at_its_end_or_without_it_is_its_equation(features, norm, training):
    then = conv(norm=norm)
    layer = tfgates.Gated(then, IndependentGate(), seed=1)
    layer.build(features.shape)
    layer.gate.off_on.assign([[0.0, np.log(0.3 / 0.7)]])
    found, decisions = layer(features, policy=Expected(), training=training)
    np.testing.assert_allclose(decisions, np.full((6, 1), 0.3), rtol=1e-6)
    np.testing.assert_allclose(found, 0.3 * then(features, training=training), atol=1e-5)


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_otherwise_runs_where_the_gate_is_closed(features, policy):
    then, otherwise = conv(norm=True), conv()
    layer = tfgates.Gated(then, FixedGate(0.4), otherwise, seed=2)
    found, decisions = layer(features, policy=policy)
    z = np.reshape(decisions, (6, 1, 1, 1))
    expected = z * then(features) + (1 - z) * otherwise(features)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_of_several_inputs_the_gate_reads_the_first(features):
    one, two = keras.Input((8, 8, 16)), keras.Input((8, 8, 16))
    both = keras.Model([one, two], keras.layers.Add()([one, two]))
    layer = tfgates.Gated(both, DependentGate())
    found, _ = layer([features, 2 * features], policy=AlwaysOpen())
    np.testing.assert_allclose(found, 3 * features, rtol=1e-6)
    np.testing.assert_allclose(layer.gate(features), np.full(6, 1.9), atol=0.02)


def test_decisions_inside_are_those_of_images_that_come():
    network = exits_network()
    images = np.random.default_rng(0).normal(size=(64, 8, 8, 3)).astype("float32")
    decisions = np.asarray(network(images, policy=Sample())["decisions"])
    assert np.isin(decisions, [0, 1]).all()
    assert 0 < decisions[:, 1].sum() < decisions[:, 0].sum() < 64
    assert (decisions[:, 1] <= decisions[:, 0]).all()
    outer, inner = gates(network)
    probability = np.asarray(network(images, policy=Expected())["decisions"])
    np.testing.assert_allclose(
        probability[:, 0], keras.ops.sigmoid(outer.gate(entering(network, images))), atol=1e-6
    )
    assert (probability[:, 1] < probability[:, 0]).all()
    assert [outer.num_decisions, inner.num_decisions] == [2, 1]


def entering(network, images):
    model = keras.Model(network.input, node_of(network, "exit_1").input_tensors[0])
    return model(images)


def grouped(keep_one=False):
    layer = tfgates.Gated(conv(), DependentGate(groups=4), keep_one=keep_one, seed=3)
    layer.build((None, 8, 8, 16))
    return layer


def test_a_decision_multiplies_the_channels_of_its_group(features):
    layer = grouped()
    found, decisions = layer(features, policy=Sample(0.5))
    assert decisions.shape == (6, 4)
    mask = np.repeat(decisions, 2, axis=1)[:, None, None, :]
    np.testing.assert_array_equal(found, mask * np.asarray(layer.then(features)))


LOGITS = np.array([[-9.0, -7.0, -8.0, -9.0], [-9.0, 20.0, -9.0, 20.0]], "float32")


@pytest.mark.parametrize("policy", [Threshold(1 - 1e-6), Sample()])
def test_one_group_stays_open_where_no_shortcut_leads_around(policy):
    decisions = grouped(keep_one=True).decide(tf.constant(LOGITS), policy)
    np.testing.assert_array_equal(decisions, [[0, 1, 0, 0], [0, 1, 0, 1]])
    decisions = grouped().decide(tf.constant(LOGITS), policy)
    np.testing.assert_array_equal(decisions, [[0, 0, 0, 0], [0, 1, 0, 1]])


def test_expected_opens_the_greatest_group_by_the_chance_that_all_are_closed():
    logits = np.array([[0.0, 1.0, -1.0, -2.0]], "float32")
    open_ = 1 / (1 + np.exp(-logits[0]))
    expected = open_ + np.prod(1 - open_) * np.array([0, 1, 0, 0])
    decisions = grouped(keep_one=True).decide(tf.constant(logits), Expected())
    np.testing.assert_allclose(decisions, [expected], rtol=1e-6)
    # The share of open groups that sampling shows: each draw keeps one where all are closed.
    draws = grouped(keep_one=True).decide(tf.repeat(tf.constant(logits), 100_000, 0), Sample())
    np.testing.assert_allclose(np.mean(draws, axis=0), expected, atol=4 * 0.5 / np.sqrt(1e5))


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match=r"`otherwise` runs where one gate.*a gate of 4 groups"):
        tfgates.Gated(conv(), DependentGate(groups=4), otherwise=conv())
    with pytest.raises(ValueError, match="`keep_one` of 1 group"):
        tfgates.Gated(conv(), DependentGate(), keep_one=True)
