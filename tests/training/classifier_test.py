"""Training: replicas, target losses, overfitting, and what is no network."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import STATISTICS, real_images, set_odds, small_network
from trained import batches, compiled, largest_difference, trained_weights

import tfgates
from tfgates.data.preprocess import Preprocessing
from tfgates.losses import per_batch
from tfgates.network import gates
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.policies import AlwaysOpen, Threshold
from tfgates.targets import Target
from tfgates.training import classifier as classifier_module
from tfgates.training.classifier import GatedClassifier


@functools.cache
def weights_of_one(target_loss, teacher=None):
    return trained_weights(tf.distribute.get_strategy(), target_loss, teacher=teacher)


@pytest.mark.parametrize(("target_loss", "teacher"), [("per_batch", None), ("per_gate", "self")])
def test_two_replicas_equal_one(mirrored, target_loss, teacher):
    one, log_of_one = weights_of_one(target_loss, teacher)
    two, log_of_two = trained_weights(mirrored, target_loss, teacher=teacher)
    assert largest_difference(one, two) < 1e-10
    for name in ("loss", "accuracy", "rate", "gate/block_00"):
        np.testing.assert_allclose(log_of_two[name], log_of_one[name], rtol=1e-6)


def test_rates_of_each_replica_alone_would_train_otherwise(mirrored, monkeypatch):
    one, _ = weights_of_one("per_batch", None)

    def rates_of_the_replica(decisions, weights=None):
        return tf.reduce_mean(decisions, axis=0)

    monkeypatch.setattr(classifier_module, "global_rates", rates_of_the_replica)
    naive, _ = trained_weights(mirrored, "per_batch")
    assert largest_difference(one, naive) > 1e-6


def test_sampling_replicas_train_on_different_noise(mirrored):
    with mirrored.scope():
        classifier = GatedClassifier(set_odds(small_network("independent"), 0.0))
    images = tf.random.stateless_normal((64, 8, 8, 3), (1, 2))

    def decisions():
        policy = classifier.policy_of_step(images)
        return classifier.network(images, policy=policy, training=True)["decisions"]

    one, two = mirrored.experimental_local_results(mirrored.run(decisions))
    # Two independent fair coins agree in half of 192 tosses; 4 standard errors are 0.144.
    assert abs(np.mean(one.numpy() == two.numpy()) - 0.5) < 0.15


@pytest.mark.parametrize("strategy_name", ["one", "mirrored"])
def test_global_rates_weigh_every_image_of_all_replicas(mirrored, strategy_name):
    strategy = mirrored if strategy_name == "mirrored" else tf.distribute.get_strategy()
    decisions = tf.constant([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    weights = tf.constant([1.0, 1.0, 1.0, 0.0])
    dataset = tf.data.Dataset.from_tensors((decisions, weights)).unbatch().batch(4)
    batch = next(iter(strategy.experimental_distribute_dataset(dataset)))
    rates = strategy.run(classifier_module.global_rates, batch)
    for local in strategy.experimental_local_results(rates):
        np.testing.assert_allclose(local, [2 / 3, 2 / 3], rtol=1e-6)


def test_fillers_of_the_last_evaluation_batch_weigh_nothing(mirrored):
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(6, 8, 8, 3)), rng.integers(0, 10, 6)
    with mirrored.scope():
        classifier = compiled(small_network(synchronized=True))
    labels[:2] = np.argmax(classifier(images[:2]), axis=1)
    exact = classifier.evaluate(
        tf.data.Dataset.from_tensor_slices((images, labels)).batch(6), verbose=0, return_dict=True
    )
    # The fillers are classified right, the others as it comes.
    filler = np.full((4, 8, 8, 3), 9.0)
    filled = (
        np.concatenate([images, filler]),
        np.concatenate([labels, np.argmax(classifier(filler), axis=1)]),
        np.array([1] * 6 + [0] * 4, "float32"),
    )
    padded = classifier.evaluate(
        tf.data.Dataset.from_tensor_slices(filled).batch(10), verbose=0, return_dict=True
    )
    assert 0.3 < exact["accuracy"] < 1.0
    for name, value in exact.items():
        np.testing.assert_allclose(padded[name], value, rtol=1e-5, err_msg=name)


def small_images(count):
    """Returns real images of 16 pixels, and their labels."""
    encoded, labels = real_images(count)
    return np.stack([Preprocessing(16, "stretch")(image) for image in encoded]), labels


def test_overfits_64_real_images():
    images, labels = small_images(64)
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([180], [0.05, 0.005])
    keras.utils.set_random_seed(1)
    plain = cifar_resnet(8, 10, (16, 16, 3), statistics=STATISTICS)
    classifier = compiled(tfgates.gate(plain, seed=1), schedule, target_rate=0.9, seed=1)
    batch = tf.data.Dataset.from_tensors((images, labels))
    log = classifier.fit(batch.repeat(), epochs=30, steps_per_epoch=10, verbose=0).history
    # Ten steps in a row without an error, whatever the gates drew.
    assert max(log["accuracy"][-10:]) == 1.0
    assert 0.5 < log["rate"][-1] < 1.0
    assert classifier.evaluate(batch, verbose=0, return_dict=True)["accuracy"] == 1.0


@pytest.mark.parametrize("target", [0.25, 0.75])
def test_the_per_batch_loss_alone_reaches_the_target_rate(target):
    images = tf.constant(small_images(64)[0])
    plain = cifar_resnet(8, 10, (16, 16, 3), statistics=STATISTICS)
    network = tfgates.gate(plain, seed=7)
    optimizer = keras.optimizers.SGD(0.5, momentum=0.9)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            decisions = network(images, training=True)["decisions"]
            rates = classifier_module.global_rates(decisions)
            loss = per_batch(rates, target)
        weights = [w for layer in gates(network) for w in layer.gate.trainable_variables]
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return tf.reduce_mean(rates)

    rates = [float(step()) for _ in range(120)]
    assert abs(np.mean(rates[-50:]) - target) < 0.02


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target_rate": 40}, "rate=40.*0.4"),
        ({"target_rate": [0.5, 0.5]}, r"each of the 3 gates.*\[0.5, 0.5\]"),
        ({"target_loss": "per_layer"}, "per_batch, per_gate.*per_layer"),
        ({"target_weight": -1}, "auto, or not negative.*weight=-1"),
        ({"gate_weights": [1, 2]}, "each of the 3 gates"),
        ({"weight_decay": float("nan")}, "weight_decay.*nan"),
        ({"decayed": "biases"}, "all or kernels.*biases"),
        ({"gate_learning_rate_factor": 0}, "gate_learning_rate_factor=0"),
        ({"targets": [Target(gates="exit")]}, "'exit', which fits none of block_00"),
        ({"targets": [Target()], "target_rate": 0.4}, "both.*rate=0.4"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        GatedClassifier(small_network(), **arguments)
    assert "\n" not in str(error.value)


class Subclassed(keras.Model):
    def call(self, images):
        return images


def without_decisions():
    images = keras.Input((8, 8, 3))
    return keras.Model(images, small_network()(images)["logits"])


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Subclassed, "Subclassed 'subclassed' is not a functional model: its calls"),
        (lambda: keras.Sequential([keras.layers.Dense(1)]), "Sequential.* is not a functional"),
        (without_decisions, "does not return their decisions"),
    ],
)
def test_a_network_whose_decisions_cannot_be_seen_is_refused(network, message):
    with pytest.raises(ValueError, match=message) as error:
        GatedClassifier(network())
    assert "\n" not in str(error.value)


def test_a_step_is_traced_once():
    """Variables that its first trace made would make TensorFlow trace it again."""
    classifier = compiled(small_network())
    step, traces = classifier.train_step, []
    classifier.train_step = lambda data: traces.append(data) or step(data)
    classifier.fit(batches(2), verbose=0)
    assert len(traces) == 1


@pytest.mark.parametrize("sequential", [False, True])
def test_a_plain_network_trains_without_a_target_loss(sequential):
    network = small_network("none")
    if sequential:
        network = keras.Sequential([keras.Input((8, 8, 3)), network])
    classifier = compiled(network, target_weight=100.0)
    log = classifier.fit(batches(2), verbose=0).history
    assert log["rate"] == log["target_rate"] == [1.0]
    assert log["loss"][0] < 10


def test_a_model_around_a_gated_one_trains_and_takes_a_policy():
    pixels = keras.Input((8, 8, 3))
    around = keras.Model(pixels, small_network()(keras.layers.Rescaling(0.5)(pixels)))
    classifier = compiled(around, target_rate=0.3, target_weight=20.0)
    log = classifier.fit(batches(8), epochs=2, verbose=0).history
    assert log["rate"][1] < log["rate"][0] - 0.1
    images = np.random.default_rng(0).random((4, 8, 8, 3), "float32")
    closed, opened = (classifier(images, policy=one) for one in (Threshold(0.999), AlwaysOpen()))
    assert np.abs(np.subtract(closed, opened)).max() > 1e-3
