"""Gates against NumPy, and their sizes against ConvNet-AIG's."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgates.gates import DependentGate, IndependentGate
from tfgates.losses import per_batch
from tfgates.policies import Sample


def test_a_new_gate_opens_with_the_initial_probability():
    features = np.random.default_rng(0).random((64, 4, 4, 16), "float32")
    np.testing.assert_allclose(DependentGate()(features), np.full(64, 1.9), atol=0.02)
    np.testing.assert_allclose(IndependentGate()(features), np.full(64, 3.9), rtol=1e-6)


def test_dependent_gate_is_its_equation():
    rng = np.random.default_rng(1)
    features = rng.random((5, 4, 6, 8), "float32")
    gate = DependentGate()
    gate.build(features.shape)
    weights = [rng.uniform(0.5, 1.5, weight.shape) for weight in gate.weights]
    gate.set_weights(weights)
    kernel, bias, gamma, beta, mean, variance, off_on, off_on_bias = weights
    hidden = features.mean((1, 2)) @ kernel + bias
    hidden = np.maximum(gamma * (hidden - mean) / np.sqrt(variance + 1e-5) + beta, 0)
    off, on = (hidden @ off_on + off_on_bias).T
    np.testing.assert_allclose(gate(features), on - off, rtol=1e-4)


@pytest.mark.parametrize("channels", [16, 256, 2048])
def test_dependent_gate_has_the_parameters_of_convnet_aig(channels):
    gate = DependentGate()
    gate.build((None, 8, 8, channels))
    trainable = sum(int(np.prod(weight.shape)) for weight in gate.trainable_weights)
    assert trainable == 16 * channels + 16 + 2 * 16 + 2 * 16 + 2


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("gate_class", [DependentGate, IndependentGate])
def test_gates_compute_in_float32_under_mixed_precision(gate_class, precision):
    keras.config.set_dtype_policy(precision)
    gate = gate_class()
    logits = gate(keras.ops.ones((2, 4, 4, 16), precision.removeprefix("mixed_")))
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert {weight.dtype for weight in gate.weights} == {"float32"}


def test_two_logits_learn_twice_as_fast_as_one_log_odds():
    """Their difference after each step is that of one number at twice the learning rate."""
    draws = np.random.default_rng(0).logistic(size=(25, 64)).astype("float32")

    def trained(variables, log_odds, learning_rate):
        optimizer, found = keras.optimizers.SGD(learning_rate), []
        for noise in draws:
            with tf.GradientTape() as tape:
                decisions = Sample()(log_odds(), lambda _, noise=noise: noise)
                loss = per_batch(tf.reduce_mean(decisions)[None], 0.1)
            gradients = tape.gradient(loss, [one.value for one in variables])
            optimizer.apply_gradients(zip(gradients, variables, strict=True))
            found.append(float(log_odds()[0]))
        return np.array(found)

    gate, features = IndependentGate(odds=(0.0, 0.0)), tf.zeros([64, 1])
    gate.build(features.shape)
    two = trained([gate.off_on], lambda: gate(features), 1.0)
    one, twice = (
        trained([odds], lambda odds=odds: tf.repeat(odds.value, 64), rate)
        for odds, rate in ((keras.Variable([0.0]), 1.0), (keras.Variable([0.0]), 2.0))
    )
    np.testing.assert_allclose(two, twice, rtol=1e-5)
    assert two[0] == pytest.approx(2 * one[0], rel=1e-6)
    assert two[-1] < one[-1] - 0.3


@pytest.mark.parametrize("gate_class", [DependentGate, IndependentGate])
def test_every_group_begins_at_the_same_odds(gate_class):
    logits = gate_class(odds=(0.5, 1.5), groups=3)(np.ones((2, 4, 4, 16), "float32"))
    np.testing.assert_allclose(logits, np.full((2, 3), 1.0), atol=0.02)


@pytest.mark.parametrize("groups", [1, 3])
def test_its_dense_layers_at_inference_give_its_logits(groups):
    rng = np.random.default_rng(1)
    features = rng.random((5, 4, 6, 8), "float32")
    gate = DependentGate(groups=groups)
    gate.build(features.shape)
    gate.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in gate.weights])
    (kernel_1, bias_1), (kernel_2, bias_2) = gate.dense_layers()
    hidden = np.maximum(features.mean((1, 2)) @ kernel_1 + bias_1, 0)
    expected = hidden @ kernel_2 + bias_2
    np.testing.assert_allclose(np.reshape(gate(features), (5, groups)), expected, rtol=1e-4)


def test_what_makes_no_gate_is_refused():
    with pytest.raises(ValueError, match=r"at least 1.*units=0"):
        DependentGate(units=0)
    with pytest.raises(ValueError, match=r"`groups` is at least 1.*0"):
        IndependentGate(groups=0)
