"""The noise of a training step: one draw for all gates, by seed, and saved."""

import keras
import numpy as np
import tensorflow as tf
from examples import operations, small_network
from trained import batches, compiled

import tfgates
from tfgates.network import columns, gates
from tfgates.noise import LogisticNoise
from tfgates.policies import Sample

IMAGES = np.random.default_rng(0).random((6, 8, 8, 3), "float32")


def grouped_network():
    """Returns a network of one gate on its first block and four on groups of the second one."""
    images = keras.Input((8, 8, 16))
    conv = keras.layers.Conv2D(16, 3, padding="same")
    first = tfgates.Gated(inside(), tfgates.DependentGate(), seed=1, name="first")
    second = tfgates.Gated(inside(), tfgates.DependentGate(groups=4), seed=2, name="second")
    features, one = first(conv(images))
    features, four = second(features)
    logits = keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(features))
    decisions = keras.layers.Concatenate()([one, four])
    return tfgates.Network(images, {"logits": logits, "decisions": decisions})


def inside():
    features = keras.Input((8, 8, 16))
    return keras.Model(features, keras.layers.Conv2D(16, 1)(features))


def test_a_step_draws_once_for_all_gates():
    classifier = compiled(small_network(), seed=5)
    data = next(iter(batches(1)))
    graph = tf.function(classifier.train_step).get_concrete_function(data).graph
    kinds = operations(graph.as_graph_def())
    drawing = [kind for kind in kinds if "Random" in kind and "Uniform" in kind]
    assert len(drawing) == 1
    classifier.fit(batches(3), verbose=0)
    np.testing.assert_array_equal(classifier.noise.state, [5, 3])
    for layer in gates(classifier.network):
        assert int(layer.noise.state[1]) == 0


def test_every_gate_gets_its_columns_of_the_draw():
    classifier = compiled(grouped_network(), seed=5)
    drawn = np.asarray(LogisticNoise(5)(np.zeros((6, 5))))
    policy = classifier.policy_of_step(IMAGES)
    assert columns(classifier.network) == {"first": slice(0, 1), "second": slice(1, 5)}
    np.testing.assert_array_equal(policy.draws["first"], drawn[:, :1])
    np.testing.assert_array_equal(policy.draws["second"], drawn[:, 1:])
    assert len(np.unique(drawn)) == drawn.size


def test_decisions_are_those_of_the_given_noise():
    network = grouped_network()
    rng = np.random.default_rng(1)
    given = {
        "first": rng.logistic(size=(6, 1)).astype("float32"),
        "second": rng.logistic(size=(6, 4)).astype("float32"),
    }
    features = rng.random((6, 8, 8, 16), "float32")
    decisions = np.asarray(network(features, policy=Sample(draws=given))["decisions"])
    # New gates: the log-odds are 1.9, but for the last bit of their weights of 0.001.
    expected = np.concatenate([given["first"], given["second"]], axis=1) > -1.9
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(decisions, expected)


def test_the_same_seed_trains_alike_and_another_does_not():
    def weights(seed):
        keras.utils.set_random_seed(3)
        classifier = compiled(small_network(), seed=seed)
        classifier.fit(batches(2), verbose=0)
        return classifier.network.get_weights()

    first, again, other = weights(1), weights(1), weights(2)
    assert all((one == two).all() for one, two in zip(first, again, strict=True))
    assert any((one != two).any() for one, two in zip(first, other, strict=True))


def test_without_a_seed_it_is_that_of_keras():
    found = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        found.append(compiled(small_network()).noise.seed)
    assert found[0] == found[1]
