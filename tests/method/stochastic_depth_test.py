"""Stochastic depth: its probabilities, and its mathematics against keras-cv's layer."""

import keras
import keras_cv
import numpy as np
import pytest
import tensorflow as tf
from absl.flags import IllegalFlagValueError
from examples import randomize, small_network, train_settings

import tfgates
from tfgates.inference.evaluate import evaluate
from tfgates.network import gates, has_learned_gates, logits_and_decisions, usual_policy
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.policies import AlwaysOpen, Expected, Sample
from tfgates.stochastic_depth import FixedGate, linear_decay


def images(count, size=8):
    rng = np.random.default_rng(5)
    return rng.normal(size=(count, size, size, 3)).astype("float32")


def test_probabilities_decay_linearly_from_one():
    assert linear_decay(4, 0.5) == [0.875, 0.75, 0.625, 0.5]
    # ResNet-110 of the paper that proposed it: 54 blocks, p_L = 0.5, on average 0.745 of them.
    assert np.mean(linear_decay(54, 0.5)) == pytest.approx(0.7454, abs=5e-5)


@pytest.mark.parametrize("last", ["1e-6", "0.999999"])
def test_the_flag_takes_what_stays_a_probability(last):
    settings = train_settings("--gate=stochastic_depth", f"--last_probability={last}")
    for count in (3, 54, 10_000):
        probabilities = linear_decay(count, settings.last_probability)
        assert all(0 < np.float32(one) < 1 for one in probabilities[-1:])
        assert all(0 < one < 1 for one in probabilities)


@pytest.mark.parametrize("last", ["1e-300", "0.9999999999999999", "0", "1", "nan"])
def test_the_flag_refuses_what_rounds_to_0_or_1(last):
    with pytest.raises(IllegalFlagValueError, match=r"is a probability from 1e-6 to 0\.999999"):
        train_settings("--gate=stochastic_depth", f"--last_probability={last}")


def test_the_network_has_them_and_learns_none():
    plain, probabilities = cifar_resnet(14, 10), iter(linear_decay(6, 0.4))
    network = tfgates.gate(plain, lambda branch: FixedGate(next(probabilities)))
    found = [layer.gate.probability for layer in gates(network)]
    assert found == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    assert len(network.trainable_variables) == len(plain.trainable_variables)
    assert usual_policy(network) == Expected()
    assert not has_learned_gates(network)


@pytest.mark.parametrize("probability", [0, 1, -0.1, 1.5])
def test_other_probabilities_are_refused(probability):
    with pytest.raises(ValueError, match=r"in \(0, 1\)"):
        FixedGate(probability)


@pytest.mark.parametrize("probability", [0.3, 0.8])
def test_expected_is_the_inference_of_keras_cv(probability):
    rng = np.random.default_rng(0)
    shortcut, branch = rng.normal(size=(2, 16, 4, 4, 8)).astype("float32")
    logits = FixedGate(probability)(shortcut)
    theirs = keras_cv.layers.StochasticDepth(1 - probability)([shortcut, branch], training=False)
    ours = shortcut + Expected()(logits).numpy()[:, None, None, None] * branch
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_training_samples_as_keras_cv_does():
    count, probability = 1000, 0.3
    shortcut = np.zeros((count, 1, 1, 1), "float32")
    layer = keras_cv.layers.StochasticDepth(1 - probability)
    draws = [
        np.ravel(layer([shortcut[:1], shortcut[:1] + 1], training=True))[0] for _ in range(count)
    ]
    logits = FixedGate(probability)(shortcut)
    noise = np.random.default_rng(1).logistic(size=count).astype("float32")
    ours = Sample()(logits, lambda _: noise).numpy()
    assert set(draws) == set(ours.tolist()) == {0.0, 1.0}
    bound = 4 * np.sqrt(probability * (1 - probability) / count)
    assert abs(np.mean(draws) - probability) < bound
    assert abs(np.mean(ours) - probability) < bound


def test_inference_scales_each_branch():
    network = randomize(small_network("stochastic_depth"))
    logits, decisions = logits_and_decisions(network(images(4)))
    np.testing.assert_allclose(decisions, [linear_decay(3, 0.5)] * 4, rtol=1e-6)
    for layer in gates(network):
        norm = layer.then.layers[-1]
        for weight in (norm.gamma, norm.beta):
            weight.assign(weight * layer.gate.probability)
    opened = network(images(4), policy=AlwaysOpen())["logits"]
    np.testing.assert_allclose(logits, opened, rtol=1e-4, atol=1e-5)


def test_it_is_evaluated_by_its_own_policy_and_has_no_threshold():
    network = randomize(small_network("stochastic_depth"))
    data = (images(20), np.arange(20) % 10, np.ones(20, "float32"))
    results = evaluate(network, tf.data.Dataset.from_tensor_slices(data).batch(10))
    assert [result.policy for result in results][:3] == [
        "expected",
        "stochastic, 5 passes",
        "always open",
    ]
    assert results[0].rate == pytest.approx(np.mean(linear_decay(3, 0.5)))
    assert results[0].macs_share == 1


def test_a_saved_gate_keeps_its_probability():
    gate = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(FixedGate(0.7))
    )
    assert gate.probability == 0.7
