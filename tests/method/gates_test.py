"""Gates against NumPy, and their sizes against ConvNet-AIG's."""

import keras
import numpy as np
import pytest

from tfgates.gates import DependentGate, IndependentGate


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


def test_no_hidden_units_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        DependentGate(units=0)
