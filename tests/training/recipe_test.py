"""The recipe: learning rate, weight decay, target lists, recalibration of batch norm."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import randomize, small_network, train_settings
from trained import batches, compiled

from tfgates import losses
from tfgates.graph.nodes import layers_inside
from tfgates.network import gates
from tfgates.policies import Expected
from tfgates.settings import targets
from tfgates.targets import Target
from tfgates.training.classifier import GatedClassifier
from tfgates.training.recalibrate import recalibrate
from tfgates.training.schedule import CosineDecay, StepDecay

LISTED = (1.0, 0.8, 0.5)


def test_the_learning_rate_warms_up_and_steps_down():
    schedule = StepDecay(0.4, [6, 8], warmup_steps=4)
    rates = [float(schedule(step)) for step in range(10)]
    expected = [0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.04, 0.04, 0.004, 0.004]
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert [float(again(step)) for step in range(10)] == rates
    assert [float(StepDecay(0.1)(step)) for step in (0, 999)] == pytest.approx([0.1, 0.1])


def test_the_learning_rate_warms_up_and_falls_along_a_cosine():
    schedule = CosineDecay(0.4, 10, warmup_steps=2)
    rates = [float(schedule(step)) for step in range(11)]
    expected = [0.2, 0.4, *(0.2 * (1 + np.cos(np.pi * np.arange(9) / 8)))]
    expected[2] = 0.4
    np.testing.assert_allclose(rates, expected, atol=1e-7)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
    assert [float(again(step)) for step in range(11)] == rates
    assert float(CosineDecay(0.4, 10)(5)) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="steps=3, warmup_steps=3"):
        CosineDecay(0.4, 3, warmup_steps=3)


def test_the_optimizer_takes_the_rate_of_its_step():
    classifier = compiled(small_network("none"), StepDecay(1.0, [2], warmup_steps=2))
    rates = []
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: rates.append(
            float(classifier.optimizer.learning_rate)
        )
    )
    classifier.fit(batches(4), verbose=0, callbacks=[watch])
    assert rates == pytest.approx([0.5, 1.0, 0.1, 0.1])


def after_one_step(**arguments):
    """Returns a classifier after a step, and its weights before it."""
    keras.utils.set_random_seed(0)
    classifier = compiled(randomize(small_network()), train_policy=Expected(), **arguments)
    before = [weight.numpy() for weight in classifier.trainable_variables]
    classifier.fit(batches(1), verbose=0)
    return classifier, before


@pytest.mark.parametrize(
    ("arguments", "decays"),
    [
        ({"decayed": "all"}, lambda path: True),
        ({"decayed": "kernels"}, lambda path: path.endswith("kernel")),
        (
            {"decayed": "kernels", "decay_gates": False},
            lambda path: path.endswith("kernel") and "_gate/" not in path,
        ),
    ],
)
def test_weight_decay_moves_each_weight_by_its_share(arguments, decays):
    """After one step of plain SGD, two runs differ by learning rate * decay * weight."""
    plain, before = after_one_step()
    moved, _ = after_one_step(weight_decay=0.1, **arguments)
    of_gates = [one.path for one in moved.trainable_variables if "_gate/" in one.path]
    assert len(of_gates) == 3 * 6
    for one, other, weight in zip(
        plain.trainable_variables, moved.trainable_variables, before, strict=True
    ):
        share = 0.1 * 0.1 * weight * decays(one.path)
        np.testing.assert_allclose(one - other, share, atol=2e-6, err_msg=one.path)


def test_gates_learn_at_a_rate_of_their_own():
    alike, before = after_one_step()
    faster, _ = after_one_step(gate_learning_rate_factor=10)
    for one, other, weight in zip(
        alike.trainable_variables, faster.trainable_variables, before, strict=True
    ):
        factor = 10 if "_gate/" in one.path else 1
        moved = factor * (one.numpy() - weight)
        np.testing.assert_allclose(other - weight, moved, atol=3e-6, err_msg=one.path)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(faster))
    assert again.updates.get_config() == faster.updates.get_config()


def test_both_kernels_of_a_separable_convolution_decay():
    images = keras.Input((4, 4, 3))
    features = keras.layers.SeparableConv2D(3, 3, padding="same")(images)
    outputs = keras.layers.GlobalAveragePooling2D()(features)
    network = randomize(keras.Model(images, outputs))
    classifier = GatedClassifier(network, weight_decay=0.1, decayed="kernels")
    kernels = [one for one in network.trainable_variables if one.name.endswith("_kernel")]
    assert len(kernels) == 2
    expected = 0.1 / 2 * sum(np.sum(np.square(one)) for one in kernels)
    assert float(classifier.updates.penalty(classifier.trainable_variables)) == pytest.approx(
        expected
    )


@pytest.mark.parametrize("target_loss", ["per_gate", "per_batch"])
def test_a_list_of_targets_has_one_for_each_gate(target_loss):
    network = small_network("independent")
    classifier = compiled(network, target_loss=target_loss, target_rate=LISTED, target_weight=2.0)
    decisions = tf.constant([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    rates = np.array([1.0, 0.5, 0.5])
    expected = 2.0 * float(losses.TARGET_LOSSES[target_loss](rates, np.array(LISTED)))
    assert float(classifier.target.loss(tf.reduce_mean(decisions, axis=0))) == pytest.approx(
        expected, rel=1e-6
    )
    log = classifier.fit(batches(1), verbose=0).history
    assert log["target_rate"] == pytest.approx([np.mean(LISTED)])
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(classifier))
    assert again.targets[0].rate == LISTED


def test_the_targets_of_convnet_aig_open_six_blocks_for_good():
    found = train_settings("--flagfile=flags/r50_aig.cfg", "--target_rate=0.4")
    assert targets.always_open(found) == (0, 1, 3, 7, 13, 15)
    assert targets.gate_targets(found, 10) == [0.8, *[0.4] * 8, 0.7]


def test_the_target_loss_of_convnet_aig_is_the_published_number():
    """The published code divides by all sixteen gates the sum over those with a target below 1."""
    found = train_settings("--flagfile=flags/r50_aig.cfg")
    own = [found.target_rate if text == "t" else float(text) for text in found.branch_targets]
    rates = np.random.default_rng(3).random(16)
    terms = [(rate - target) ** 2 for rate, target in zip(rates, own, strict=True) if target < 1]
    gated = [index for index, target in enumerate(own) if target < 1]
    target = Target(
        targets.gate_targets(found, len(gated)),
        found.target_loss,
        found.target_penalty,
        weight=found.target_weight,
    )
    loss = target.loss(tf.constant(rates[gated], "float32"))
    assert float(loss) == pytest.approx(sum(terms) / 16, rel=1e-6)


def test_linear_scaling_is_relative_to_256_images():
    assert train_settings("--batch_size=1024").initial_learning_rate == pytest.approx(0.1)
    scaled = train_settings("--batch_size=1024", "--linear_scaling")
    assert scaled.initial_learning_rate == pytest.approx(0.4)


def moments_by_hand(network, images):
    """Mean and variance of what enters the norm of the stem, for each batch."""
    conv = network.get_layer("stem_conv")
    outputs = [conv(batch).numpy().astype("float64") for batch in images]
    means = [output.mean(axis=(0, 1, 2)) for output in outputs]
    variances = [output.var(axis=(0, 1, 2)) for output in outputs]
    return np.mean(means, axis=0), np.mean(variances, axis=0)


@pytest.mark.parametrize("synchronized", [False, True])
def test_recalibration_averages_the_moments_of_the_batches(synchronized):
    network = randomize(small_network(synchronized=synchronized))
    images = np.random.default_rng(5).normal(1, 2, (5, 16, 8, 8, 3)).astype("float32")
    before = [weight.numpy() for weight in network.trainable_weights]
    done = []
    data = tf.data.Dataset.from_tensor_slices(images).map(lambda batch: (batch,))
    assert recalibrate(network, data, done.append) == 5
    assert done == [1, 2, 3, 4, 5]
    mean, variance = moments_by_hand(network, images)
    norm = network.get_layer("stem_norm")
    np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-3)
    norms = [layer for layer in layers_inside(network) if hasattr(layer, "momentum")]
    assert {layer.momentum for layer in norms} == {0.9}
    for weight, value in zip(network.trainable_weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_recalibration_samples_the_gates_and_reaches_every_norm():
    network = randomize(small_network())
    states = [int(layer.noise.state[1]) for layer in gates(network)]
    moving = [weight for weight in network.non_trainable_weights if "moving" in weight.path]
    before = [weight.numpy() for weight in moving]
    images = np.random.default_rng(5).normal(1, 2, (3, 16, 8, 8, 3)).astype("float32")
    recalibrate(network, tf.data.Dataset.from_tensor_slices(images).map(lambda batch: (batch,)))
    assert [int(layer.noise.state[1]) for layer in gates(network)] == [n + 3 for n in states]
    assert len(moving) == 2 * (1 + 3 * 3 + 2)
    for weight, value in zip(moving, before, strict=True):
        assert np.abs(weight.numpy() - value).max() > 1e-3, weight.path
