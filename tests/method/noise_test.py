"""Noise is logistic, repeats by seed, differs between draws and replicas, and is saved."""

import numpy as np
import pytest
import tensorflow as tf

import tfgates
from tfgates.network import gates
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.noise import LogisticNoise


def test_mean_and_variance_are_those_of_the_logistic_distribution():
    draws = LogisticNoise(seed=1)(np.zeros(100_000)).numpy()
    assert np.isfinite(draws).all()
    # Standard error of the mean: pi / sqrt(3 n); of the variance: pi^2 / 3 * sqrt(3.2 / n).
    assert abs(draws.mean()) < 4 * np.pi / np.sqrt(3e5)
    assert abs(draws.var() - np.pi**2 / 3) < 4 * np.pi**2 / 3 * np.sqrt(3.2 / 1e5)


def test_the_same_seed_repeats_and_another_draw_or_seed_differs():
    first, again, other = LogisticNoise(1), LogisticNoise(1), LogisticNoise(2)
    zeros = np.zeros(8)
    one = first(zeros).numpy()
    np.testing.assert_array_equal(one, again(zeros))
    assert not np.any(one == first(zeros).numpy())
    assert not np.any(one == other(zeros).numpy())


def test_state_is_a_weight_that_continues_the_stream():
    noise, zeros = LogisticNoise(1), np.zeros(4)
    noise(zeros)
    continued = LogisticNoise(99)
    continued.set_weights(noise.get_weights())
    np.testing.assert_array_equal(noise.get_weights()[0], [1, 1])
    np.testing.assert_array_equal(noise(zeros), continued(zeros))


def test_gates_of_one_seed_draw_noise_of_their_own():
    def draws(seed):
        layers = gates(small_network_of(seed))
        return np.array([layer.noise(np.zeros(20_000)) for layer in layers])

    first, again, other = draws(7), draws(7), draws(8)
    np.testing.assert_array_equal(first, again)
    assert not np.any(first == other)
    correlations = np.corrcoef(first)[np.triu_indices(len(first), 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(20_000)


def small_network_of(seed):
    return tfgates.gate(cifar_resnet(8, 10, (8, 8, 3)), "independent", seed=seed)


def test_started_anew_it_draws_the_same():
    noise, zeros = LogisticNoise(1), np.zeros(4)
    first = noise(zeros).numpy()
    noise(zeros)
    noise.reset()
    np.testing.assert_array_equal(noise(zeros), first)


@pytest.mark.parametrize("compiled", [False, True])
def test_replicas_draw_different_noise_and_share_the_state(mirrored, compiled):
    with mirrored.scope():
        noise = LogisticNoise(1)

    def run():
        return mirrored.run(lambda: noise(tf.zeros(6)))

    one, two = mirrored.experimental_local_results((tf.function(run) if compiled else run)())
    assert not np.any(one.numpy() == two.numpy())
    np.testing.assert_array_equal(one, LogisticNoise(1)(np.zeros(6)))
    np.testing.assert_array_equal(noise.state.numpy(), [1, 1])
