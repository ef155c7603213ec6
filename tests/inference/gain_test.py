"""What is gained by looking at the image, against NumPy."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from examples import open_half, randomize, small_network

from tfgates.graph.count import count
from tfgates.inference.gain import fixed_set, measure_gain
from tfgates.network import columns, decision_names
from tfgates.policies import Given, Threshold

IMAGES = np.random.default_rng(0).normal(size=(2, 60, 8, 8, 3)).astype("float32")


@pytest.fixture(scope="module")
def network():
    network = randomize(small_network())
    open_half(network, IMAGES[1])
    return network


def given(network, decisions):
    parts = columns(network).items()
    return Given({name: tf.constant(decisions[:, part]) for name, part in parts})


def answers(network, images, policy):
    return np.argmax(network(images, policy=policy)["logits"], axis=1)


def test_given_decisions_are_taken_whatever_the_gates_say(network):
    wanted = (np.random.default_rng(1).random((60, 3)) < 0.5).astype("float32")
    outputs = network(IMAGES[1], policy=given(network, wanted))
    np.testing.assert_array_equal(outputs["decisions"], wanted)
    own = network(IMAGES[1], policy=Threshold())
    again = network(IMAGES[1], policy=given(network, own["decisions"].numpy()))
    np.testing.assert_array_equal(again["logits"], own["logits"])


def test_errors_of_the_same_work_decided_otherwise(network):
    # The labels are what the network says by itself, but of every tenth image.
    own = answers(network, IMAGES[1], Threshold())
    labels = np.where(np.arange(60) % 10, own, (own + 1) % 10)
    decisions = network(IMAGES[1], policy=Threshold())["decisions"].numpy()

    def batches(images, labels):
        fillers = np.zeros((4, 8, 8, 3), "float32"), np.zeros(4, int)
        whole = np.concatenate([images, fillers[0]]), np.concatenate([labels, fillers[1]])
        weights = np.repeat([1, 0], [60, 4]).astype("float32")
        return tf.data.Dataset.from_tensor_slices((*whole, weights)).batch(16)

    passes = []
    found = measure_gain(
        network,
        batches(IMAGES[0], answers(network, IMAGES[0], Threshold())),
        batches(IMAGES[1], labels),
        decision_names(network),
        seed=3,
        progress=passes.append,
    )
    dealt = decisions[np.random.default_rng(3).permutation(60)]
    wrong = answers(network, IMAGES[1], given(network, dealt)) != labels
    assert found.own == pytest.approx(10)
    assert found.shuffled == pytest.approx(100 * wrong.mean())
    cost = count(network)
    assert found.macs == pytest.approx(cost.executed(decisions).mean())
    kept = np.isin(decision_names(network), found.kept).astype("float32")
    assert found.fixed_macs == pytest.approx(cost.executed(kept))
    assert found.fixed_macs <= found.macs
    wrong = answers(network, IMAGES[1], given(network, np.tile(kept, (60, 1)))) != labels
    assert found.fixed == pytest.approx(100 * wrong.mean())
    assert passes == list(range(1, len(passes) + 1))


def test_of_the_branches_that_one_goes_that_is_missed_least(network):
    cost = count(network)
    value = np.array([0.1, 0.5, 0.3])
    kept = fixed_set(lambda opened: 1 - value @ opened, cost, cost.executed([0, 1, 1]))
    np.testing.assert_array_equal(kept, [0, 1, 1])
    nothing = fixed_set(lambda opened: 1 - value @ opened, cost, 0)
    assert not nothing.any()
    assert all(
        cost.executed(one) > cost.executed(kept) or value @ one <= value @ kept
        for one in itertools.product([0, 1], repeat=3)
    )
