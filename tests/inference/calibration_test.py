"""Calibration: a shift of all log-odds by one number, with which gates run what they are to run."""

import numpy as np
import pytest
import tensorflow as tf
from examples import open_half, randomize, set_odds, small_network

from tfgates.graph.count import count
from tfgates.inference.calibration import find_shift, search
from tfgates.network import gates
from tfgates.policies import Threshold

IMAGES = np.random.default_rng(0).normal(size=(300, 8, 8, 3)).astype("float32")


def batches(images):
    """Batches of 100, the last of them with fillers of weight 0 that would open other gates."""
    fillers = np.full((-len(images) % 100, 8, 8, 3), 50, "float32")
    weights = np.repeat([1, 0], [len(images), len(fillers)]).astype("float32")
    whole = np.concatenate([images, fillers])
    return tf.data.Dataset.from_tensor_slices((whole, weights, weights)).batch(100)


@pytest.mark.parametrize("start", [-3.0, -0.2, 0.0, 0.5, 4.0])
def test_the_search_comes_to_its_target(start):
    def share(shift):
        return 0.1 + 0.9 / (1 + np.exp(-shift - start))

    shift, before, after = search(share, 0.6, 0.005)
    assert before == share(0)
    assert after == share(shift) == pytest.approx(0.6, rel=0.005)

    def steps(shift):
        return round(15 * share(shift)) / 15

    # 9 or 10 of 15, for a target between them.
    assert search(steps, 0.64, 0.005)[2] == 10 / 15
    assert search(steps, 0.62, 0.005)[2] == 9 / 15


@pytest.mark.parametrize("weighted", [False, True])
def test_gates_run_their_target_once_they_are_shifted(weighted):
    network = randomize(small_network())
    open_half(network, IMAGES)
    weights = np.array(count(network).removable) if weighted else None
    passes = []
    shift, before, after = find_shift(
        network, batches(IMAGES[:250]), 0.3, weights, progress=passes.append
    )

    def share(tau=0.5):
        decisions = network(IMAGES[:250], policy=Threshold(tau))["decisions"]
        return np.average(np.mean(decisions, axis=0), weights=weights)

    assert before == pytest.approx(share())
    assert after == pytest.approx(share(1 / (1 + np.exp(shift))), abs=1e-6)
    assert after == pytest.approx(0.3, rel=0.005) != before
    for layer in gates(network):
        layer.gate.shift(shift)
    # An image whose log-odds are 0 but for rounding may change sides.
    assert share() == pytest.approx(after, abs=0.005)
    assert len(passes) < 12


def test_of_independent_gates_the_nearest_share_there_is():
    network = set_odds(small_network("independent"), [3.0, 1.0, -1.0])
    shift, before, after = find_shift(network, batches(IMAGES), 0.4)
    assert (before, after) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    for layer in gates(network):
        layer.gate.shift(shift)
    decisions = network(IMAGES[:1], policy=Threshold(0.5))["decisions"]
    np.testing.assert_array_equal(decisions, [[1, 0, 0]])
