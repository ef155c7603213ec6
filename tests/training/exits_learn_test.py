"""Exits in training: each classifier learns of all images; rates are of those that arrive."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import exits_network, randomize
from trained import batches, compiled

import tfgates
from tfgates.graph.unrolling import unrolled
from tfgates.losses import reached
from tfgates.network import columns, exits_of, parents
from tfgates.policies import AlwaysClosed, AlwaysOpen, Expected, Given, Threshold


def images_of(count=6):
    return np.random.default_rng(0).normal(size=(count, 8, 8, 3)).astype("float32")


def test_unrolled_it_answers_as_before_and_at_each_exit():
    network = randomize(exits_network())
    images, whole = images_of(), unrolled(network)
    decisions = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [1, 0], [0, 0]], "float32")
    forced = Given({name: decisions[:, part] for name, part in columns(network).items()})
    for policy in (forced, Threshold(0.4), AlwaysOpen()):
        ours, theirs = whole(images, policy=policy), network(images, policy=policy)
        for name in ("logits", "decisions"):
            np.testing.assert_array_equal(ours[name], theirs[name])
    found = np.asarray(whole(images)["exits"])
    for exit_, opened in enumerate(([0, 0], [1, 0], [1, 1])):
        alike = Given(
            {
                name: np.full((6, 1), opened[part.start], "float32")
                for name, part in columns(network).items()
            }
        )
        np.testing.assert_allclose(found[:, exit_], network(images, policy=alike)["logits"])
    assert {id(one) for one in whole.trainable_weights} == {
        id(one) for one in network.trainable_weights
    }


def gradient_at_the_end(weight, policy):
    """The largest change of the last classifier in a step in which all images leave early."""
    keras.utils.set_random_seed(0)
    classifier = compiled(exits_network(), exit_weight=weight, train_policy=policy, seed=0)
    end = exits_of(classifier.network)[1].then.layers[-1].kernel
    before = np.asarray(end).copy()
    classifier.fit(batches(1), verbose=0)
    return np.abs(end - before).max()


def test_the_end_learns_of_images_that_leave_early():
    assert gradient_at_the_end(0.0, AlwaysClosed()) == 0
    assert gradient_at_the_end(1.0, AlwaysClosed()) > 1e-4
    assert gradient_at_the_end(0.0, AlwaysOpen()) > 1e-4


def test_the_loss_is_that_of_the_answers_and_of_each_exit():
    network = randomize(exits_network())
    classifier = compiled(network, exit_weight=0.6, target_weight=0.0, train_policy=AlwaysOpen())
    (images, labels), *_ = batches(1).as_numpy_iterator()
    outputs = unrolled(network)(images, policy=AlwaysOpen(), training=True)
    of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    exits = [of(labels, outputs["exits"][:, place]) for place in range(3)]
    expected = of(labels, outputs["logits"]) + 0.6 * sum(exits) / 3
    found = classifier.fit(images, labels, batch_size=16, verbose=0).history["loss"][0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_saved_with_its_weight(tmp_path):
    classifier = compiled(exits_network(), exit_weight=0.25)
    classifier.save(tmp_path / "one.keras")
    assert keras.saving.load_model(tmp_path / "one.keras").exits.weight == 0.25


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match=r"`exit_weight` is not negative.*-1"):
        tfgates.GatedClassifier(exits_network(), exit_weight=-1)


def test_a_target_of_layers_behind_an_exit_does_not_move_the_exit():
    """Layers below their target would otherwise let fewer and fewer images in."""
    network = randomize(exits_network())
    outer, inner = exits_of(network)
    with tf.GradientTape() as tape:
        decisions = network(images_of(), policy=Expected())["decisions"]
        rates = reached(tf.reduce_mean(decisions, axis=0), parents(network))
        loss = tfgates.Target(0.9, gates="exit_2").loss(rates[1:])
    kernels = [outer.gate.off_on.kernel, inner.gate.off_on.kernel]
    of_outer, of_inner = tape.gradient(loss, kernels, unconnected_gradients="zero")
    assert np.abs(of_outer).max() == 0
    assert np.abs(of_inner).max() > 1e-4
