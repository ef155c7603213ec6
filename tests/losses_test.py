"""Target losses against their equations, written out over gates and images."""

import numpy as np
import pytest
import tensorflow as tf

from tfgates.losses import per_batch, per_gate, weight_penalty

DECISIONS = (np.random.default_rng(0).random((32, 5)) < [0.1, 0.3, 0.5, 0.9, 1.0]).astype("float64")


@pytest.mark.parametrize("target", [0.0, 0.4, 1.0])
def test_per_gate_is_the_mean_of_squares(target):
    images, gates = DECISIONS.shape
    expected = sum((target - sum(DECISIONS[:, g]) / images) ** 2 for g in range(gates)) / gates
    np.testing.assert_allclose(per_gate(DECISIONS.mean(0), target), expected, rtol=1e-6)


@pytest.mark.parametrize("target", [0.0, 0.4, 1.0])
def test_per_batch_is_the_square_of_the_mean(target):
    images, gates = DECISIONS.shape
    expected = (target - DECISIONS.sum() / (images * gates)) ** 2
    np.testing.assert_allclose(per_batch(DECISIONS.mean(0), target), expected, rtol=1e-6)


def test_a_target_for_each_gate():
    rates = np.array([0.2, 0.8])
    np.testing.assert_allclose(per_gate(rates, np.array([0.2, 1.0])), 0.02)
    np.testing.assert_allclose(per_batch(rates, np.array([0.2, 1.0])), 0.01)


def test_collapsed_gates_cost_nothing_per_batch_and_a_quarter_per_gate():
    rates = np.array([0.0, 1.0, 0.0, 1.0])
    assert per_batch(rates, 0.5) == 0
    assert per_gate(rates, 0.5) == 0.25


def test_gradient_of_the_weight_penalty_is_the_weights():
    weights = [tf.Variable([1.0, -2.0]), tf.Variable([[3.0]])]
    with tf.GradientTape() as tape:
        penalty = weight_penalty(weights)
    assert penalty == 7.0
    for gradient, weight in zip(tape.gradient(penalty, weights), weights, strict=True):
        np.testing.assert_array_equal(gradient, weight)
