"""The gated norm: Keras's batch norm, multiplied by the decisions, in values and gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgates.norms import GatedNormalization


@pytest.fixture
def features():
    return tf.constant(np.random.default_rng(0).normal(1, 2, (6, 4, 4, 16)).astype("float32"))


def norms(dtype="float32"):
    """Returns a gated norm and Keras's own with the same weights."""
    pair = (
        GatedNormalization(dtype=dtype),
        keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=dtype),
    )
    rng = np.random.default_rng(1)
    weights = [rng.uniform(0.5, 1.5, 16) for _ in range(4)]
    for norm in pair:
        norm.build((None, 4, 4, 16))
        norm.set_weights(weights)
    return pair


@pytest.mark.parametrize("training", [False, True])
def test_it_is_batch_norm_times_the_decisions(features, training):
    gated, plain = norms()
    decisions = tf.constant([1.0, 0.0, 1.0, 0.25, 0.0, 1.0])
    upstream = tf.constant(np.random.default_rng(2).normal(size=features.shape).astype("float32"))
    found = []
    for norm in (gated, plain):
        variables = norm.trainable_variables
        with tf.GradientTape() as tape:
            tape.watch([features, decisions])
            if norm is gated:
                outputs = norm(features, decisions=decisions, training=training)
            else:
                outputs = norm(features, training=training) * decisions[:, None, None, None]
        sources = [features, decisions, *(variable.value for variable in variables)]
        found.append([outputs, *tape.gradient(outputs, sources, upstream), *norm.get_weights()])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_decisions_are_not_rounded_to_half_precision(features, precision):
    decisions = tf.fill([6], 0.86981)
    exact = norms()[0](features, decisions=decisions)
    half = norms(precision)[0](features, decisions=decisions)
    rounded = tf.cast(exact, half.dtype)
    np.testing.assert_array_equal(tf.cast(half, "float32"), tf.cast(rounded, "float32"))


def test_without_decisions_it_is_batch_norm(features):
    gated, plain = norms()
    np.testing.assert_array_equal(gated(features, training=True), plain(features, training=True))


def test_closed_images_are_exactly_zero(features):
    outputs = norms()[0](features, decisions=tf.zeros(6), training=True)
    np.testing.assert_array_equal(outputs, np.zeros(features.shape))


def test_half_precision_computes_its_moments_in_float32(features):
    gated, plain = norms("mixed_float16")
    large = tf.cast(features * 3000, "float16")
    outputs = gated(large, decisions=tf.ones(6), training=True)
    assert outputs.dtype == tf.float16
    np.testing.assert_allclose(outputs, plain(large, training=True), rtol=2e-3, atol=2e-3)


def test_a_frozen_norm_keeps_its_moments(features):
    gated, _ = norms()
    gated.trainable = False
    before = gated.get_weights()
    gated(features, decisions=tf.ones(6), training=True)
    for ours, theirs in zip(gated.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_serialized_norm_is_the_same():
    gated = GatedNormalization(synchronized=True, epsilon=1e-3, name="last")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(gated))
    assert (again.name, again.synchronized, again.epsilon) == ("last", True, 1e-3)
