"""The method on another backend of Keras: JAX computes and learns what TensorFlow does."""

import numpy as np
import pytest
from examples import ON_JAX, run_script
from steps_on_a_backend import given, small_network, train


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What TensorFlow found in this process, and JAX in one of its own."""
    folder = tmp_path_factory.mktemp("jax")
    network = small_network()
    data = given(network)
    np.savez(folder / "given.npz", **data)
    files = folder / "given.npz", folder / "found.npz"
    finished = run_script("tests/helpers/steps_on_a_backend.py", *files, environment=ON_JAX)
    assert finished.returncode == 0, finished.stderr
    with np.load(folder / "found.npz") as found:
        return train(network, data), dict(found)


def test_it_runs_without_tensorflow(both):
    _, jax = both
    assert jax["backend"] == "jax"
    assert not jax["tensorflow"]


def test_losses_gradients_and_trained_weights_are_those_of_tensorflow(both):
    tensorflow, jax = both
    assert len(tensorflow) > 60
    assert tensorflow["losses"][-1] < tensorflow["losses"][0]
    for name, value in tensorflow.items():
        np.testing.assert_allclose(jax[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


def test_decisions_are_sampled(both):
    _, jax = both
    assert np.isin(jax["sampled"], [0, 1]).all()
    assert abs(jax["sampled"].mean() - 0.5) < 4 * 0.5 / np.sqrt(jax["sampled"].size)


def test_noise_is_logistic_of_its_own_for_each_gate_and_draw_and_repeats_by_seed(both):
    _, jax = both
    np.testing.assert_array_equal(jax["noise"], jax["again"])
    draws = np.reshape(jax["noise"], (6, -1))
    size = draws.shape[1]
    correlations = np.corrcoef(draws)[np.triu_indices(6, 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(size)
    assert np.abs(draws.mean(axis=1)).max() < 4 * np.pi / np.sqrt(3 * size)
