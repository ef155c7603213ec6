"""Policies against their equations in NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tfgates.noise import LogisticNoise
from tfgates.policies import AlwaysOpen, Expected, Sample, Threshold, log_odds


def sigmoid(x):
    return 1 / (1 + np.exp(-np.float64(x)))


@pytest.mark.parametrize("temperature", [1.0, 5.0, 0.1])
def test_sample_is_exactly_0_or_1_and_its_gradient_that_of_the_relaxed_sample(temperature):
    rng = np.random.default_rng(0)
    logits = tf.constant(rng.normal(0, 4, 50_000), tf.float32)
    draws = rng.logistic(size=50_000).astype("float32")
    with tf.GradientTape() as tape:
        tape.watch(logits)
        decisions = Sample(temperature=temperature)(logits, lambda _: draws)
    np.testing.assert_array_equal(decisions, (logits.numpy() + draws > 0).astype("float32"))
    with np.errstate(over="ignore"):
        relaxed = sigmoid((logits.numpy() + draws) / temperature)
    expected = relaxed * (1 - relaxed) / temperature
    gradient = tape.gradient(decisions, logits)
    np.testing.assert_allclose(gradient, expected, atol=1e-6 / temperature)


@pytest.mark.parametrize("probability", [0.02, 0.3, 0.5, 0.87, 0.999])
def test_sampled_rate_matches_the_probability(probability):
    logits = np.full(100_000, log_odds(probability), "float32")
    rate = Sample()(logits, LogisticNoise(seed=3)).numpy().mean()
    assert abs(rate - probability) < 4 * np.sqrt(probability * (1 - probability) / 1e5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("policy", [Sample(), Threshold(0.3), AlwaysOpen(), Expected()])
def test_values_and_gradients_are_finite_in_every_precision(policy, dtype):
    logits = tf.cast(tf.repeat(tf.constant([-3e4, -90.0, -1.0, 0.0, 1.0, 90.0, 3e4]), 3000), dtype)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        decisions = policy(logits, LogisticNoise(seed=1))
    assert decisions.dtype == tf.float32
    assert np.all((decisions.numpy() >= 0) & (decisions.numpy() <= 1))
    gradient = tape.gradient(decisions, logits)
    if gradient is not None:
        assert np.isfinite(tf.cast(gradient, tf.float32).numpy()).all()


def test_threshold_compares_probabilities_and_takes_one_tau_for_each_image():
    probabilities = np.array([0.1, 0.49, 0.51, 0.9])
    logits = np.log(probabilities / (1 - probabilities)).astype("float32")
    for tau in (0.05, 0.3, 0.5, 0.7, 0.95):
        np.testing.assert_array_equal(Threshold(tau)(logits), probabilities > tau)
    taus = tf.constant([0.2, 0.2, 0.6, 0.6])
    np.testing.assert_array_equal(Threshold(taus)(logits), [0, 1, 0, 1])


def test_threshold_stays_closed_at_equality():
    assert Threshold(0.5)(np.zeros(1, "float32")).numpy() == 0


def test_expected_is_the_probability_and_always_open_is_one():
    logits = np.linspace(-5, 5, 11, dtype="float32")
    np.testing.assert_allclose(Expected()(logits), sigmoid(logits), atol=1e-7)
    np.testing.assert_array_equal(AlwaysOpen()(logits), np.ones(11))


@pytest.mark.parametrize(
    "tau",
    [0, 1, 40, -0.1, float("nan"), np.float32(1.5), np.float64(0), np.int64(1), [0.5, 1.5], (0,)],
)
def test_a_tau_that_is_no_probability_is_refused(tau):
    with pytest.raises(ValueError, match=r"tau.*\(0, 1\)"):
        Threshold(tau)


def test_float64_logits_stay_float64():
    assert Expected()(tf.zeros(2, tf.float64)).dtype == tf.float64
