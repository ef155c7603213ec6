"""Batch norm times a decision: Keras's batch norm, multiplied, in values and gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgates.norms import as_mask, gated_norm, scale_and_shift


@pytest.fixture
def features():
    return tf.constant(np.random.default_rng(0).normal(1, 2, (6, 4, 4, 16)).astype("float32"))


def norms(dtype="float32", **options):
    """Returns two norms with the same weights."""
    options = {"momentum": 0.9, "epsilon": 1e-5, "dtype": dtype, **options}
    pair = [keras.layers.BatchNormalization(**options) for _ in range(2)]
    rng = np.random.default_rng(1)
    weights = None
    for norm in pair:
        norm.build((None, 4, 4, 16))
        weights = weights or [rng.uniform(0.5, 1.5, 16) for _ in norm.weights]
        norm.set_weights(weights)
    return pair


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}], ids=str)
@pytest.mark.parametrize("training", [False, True])
def test_it_is_batch_norm_times_the_decisions(features, training, options):
    ours, theirs = norms(**options)
    decisions = tf.constant([[1.0], [0.0], [1.0], [0.25], [0.0], [1.0]])
    upstream = tf.constant(np.random.default_rng(2).normal(size=features.shape).astype("float32"))
    found = []
    for norm in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch([features, decisions])
            if norm is ours:
                outputs = gated_norm(norm, features, decisions, training)
            else:
                outputs = norm(features, training=training) * decisions[:, None, None]
        sources = [features, decisions, *(one.value for one in norm.trainable_variables)]
        found.append([outputs, *tape.gradient(outputs, sources, upstream), *norm.get_weights()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-4)


def test_a_decision_of_a_group_scales_its_channels(features):
    ours, theirs = norms()
    decisions = np.random.default_rng(3).random((6, 4)).astype("float32")
    outputs = gated_norm(ours, features, tf.constant(decisions), False)
    mask = np.repeat(decisions, 4, axis=1)[:, None, None, :]
    np.testing.assert_allclose(outputs, mask * np.asarray(theirs(features)), atol=1e-5)
    np.testing.assert_array_equal(as_mask(tf.constant(decisions), features.shape), mask)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_decisions_are_not_rounded_to_half_precision(features, precision):
    decisions = tf.fill([6, 1], 0.86981)
    exact = gated_norm(norms()[0], features, decisions, False)
    half = gated_norm(norms(precision)[0], features, decisions, False)
    rounded = tf.cast(exact, half.dtype)
    np.testing.assert_array_equal(tf.cast(half, "float32"), tf.cast(rounded, "float32"))


def test_closed_images_are_exactly_zero(features):
    outputs = gated_norm(norms()[0], features, tf.zeros([6, 1]), True)
    np.testing.assert_array_equal(outputs, np.zeros(features.shape))


def test_half_precision_computes_its_moments_in_float32(features):
    ours, theirs = norms("mixed_float16")
    large = tf.cast(features * 3000, "float16")
    outputs = gated_norm(ours, large, tf.ones([6, 1]), True)
    assert outputs.dtype == tf.float16
    np.testing.assert_allclose(outputs, theirs(large, training=True), rtol=2e-3, atol=2e-3)


def test_a_frozen_norm_keeps_its_moments(features):
    norm, _ = norms()
    norm.trainable = False
    before = norm.get_weights()
    gated_norm(norm, features, tf.ones([6, 1]), True)
    for ours, theirs in zip(norm.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}], ids=str)
def test_at_inference_it_is_an_affine_map_of_each_channel(features, options):
    norm, _ = norms(**options)
    scale, shift = scale_and_shift(norm)
    np.testing.assert_allclose(norm(features), features * scale + shift, rtol=1e-4, atol=1e-5)
