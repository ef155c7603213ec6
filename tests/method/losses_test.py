"""Target losses against their equations, written out over gates and images."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfgates.losses import (
    PENALTIES,
    SmoothedCrossentropy,
    constant_quadratic,
    logits_distillation,
    per_batch,
    per_gate,
    reversed_quadratic,
    weight_penalty,
)

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


def test_only_an_excess_costs_and_in_reverse_only_a_lack():
    excess = np.array([-0.5, -0.1, 0.0, 0.1, 0.5])
    np.testing.assert_allclose(constant_quadratic(excess), [0, 0, 0, 0.01, 0.25])
    np.testing.assert_allclose(reversed_quadratic(excess), [0.25, 0.01, 0, 0, 0])


@pytest.mark.parametrize(
    ("penalty", "below", "above"),
    [("quadratic", 1, 1), ("constant_quadratic", 0, 1), ("reversed_quadratic", 1, 0)],
)
@pytest.mark.parametrize("target", [0.0, 0.3, 0.6, 1.0])
def test_piecewise_losses_of_both_scopes(penalty, below, above, target):
    images, gates = DECISIONS.shape

    def cost(rate):
        return (target - rate) ** 2 * (above if rate > target else below)

    of_gates = sum(cost(sum(DECISIONS[:, g]) / images) for g in range(gates)) / gates
    of_batch = cost(DECISIONS.sum() / (images * gates))
    rates = DECISIONS.mean(0)
    found = per_gate(rates, target, PENALTIES[penalty])
    np.testing.assert_allclose(found, of_gates, rtol=1e-6, atol=1e-12)
    found = per_batch(rates, target, PENALTIES[penalty])
    np.testing.assert_allclose(found, of_batch, rtol=1e-6, atol=1e-12)


def test_with_weights_the_target_is_a_share_of_the_compute():
    macs = np.array([10, 40, 40, 5, 5])
    executed = (DECISIONS * macs).sum() / (len(DECISIONS) * macs.sum())
    found = per_batch(DECISIONS.mean(0), 0.4, weights=macs)
    np.testing.assert_allclose(found, (0.4 - executed) ** 2, rtol=1e-6)
    half_of_the_compute = per_batch(np.array([0.0, 1.0, 0.0, 1.0, 1.0]), 0.5, weights=macs)
    np.testing.assert_allclose(half_of_the_compute, 0, atol=1e-12)


def test_below_its_target_a_gate_feels_nothing():
    rates = tf.Variable([0.2, 0.9])
    with tf.GradientTape() as tape:
        loss = per_gate(rates, 0.5, constant_quadratic)
    np.testing.assert_allclose(tape.gradient(loss, rates), [0, 0.4], rtol=1e-6)


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


def test_a_share_of_each_label_is_spread_over_all_classes():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    shares = 0.9 * np.eye(4)[labels] + 0.1 / 4
    expected = -(shares * log_p).sum(axis=1).mean()
    loss = SmoothedCrossentropy(0.1)
    np.testing.assert_allclose(loss(labels, logits), expected, rtol=1e-6)
    of_shares = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    np.testing.assert_allclose(of_shares(np.eye(4)[labels], logits), expected, rtol=1e-6)
    assert SmoothedCrossentropy.from_config(loss.get_config()).smoothing == 0.1


def test_a_teacher_is_followed_at_a_temperature():
    rng = np.random.default_rng(2)
    teacher, student = rng.normal(0, 3, (2, 6, 4))

    def shares(logits):
        powers = np.exp(logits / 4)
        return powers / powers.sum(axis=1, keepdims=True)

    p, q = shares(teacher), shares(student)
    expected = 16 * (p * np.log(p / q)).sum(axis=1)
    np.testing.assert_allclose(logits_distillation(teacher, student, 4.0), expected, rtol=1e-6)
    np.testing.assert_allclose(logits_distillation(teacher, teacher + 1, 4.0), 0, atol=1e-12)
    # T (softmax(student / T) - softmax(teacher / T)) of each image.
    logits = tf.Variable(student)
    with tf.GradientTape() as tape:
        loss = ops.sum(logits_distillation(teacher, logits, 4.0))
    np.testing.assert_allclose(tape.gradient(loss, logits), 4 * (q - p), rtol=1e-6)
