"""A short path inside of a network: what it leaves out, shares, and is trained by."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import randomize
from trained import batches, compiled

import tfgates
from tfgates.graph.nesting import is_nested, nest, path, skippable
from tfgates.graph.pruning import prune
from tfgates.networks.cifar_resnet import cifar_resnet

IMAGES = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")
# Of nine branches in three stages, of which two begin with a projection, the last of each.
SKIPPED = ["block_02", "block_05", "block_08"]


@pytest.fixture
def plain():
    return randomize(cifar_resnet(20, 10, (8, 8, 3)))


def test_the_second_half_of_each_stage_is_skipped(plain):
    assert [branch.name for branch in skippable(tfgates.branches(plain))] == SKIPPED
    with pytest.raises(ValueError, match="no branch to skip"):
        nest(cifar_resnet(8, 10, (8, 8, 3)))


def test_both_paths_are_the_plain_networks_of_their_branches(plain, tmp_path):
    nested = nest(plain)
    # Without the gates of the branches that are skipped.
    gated = tfgates.gate(plain, where=SKIPPED, seed=1)
    shorter = prune(gated, dict.fromkeys(range(3), False))
    outputs = nested(IMAGES)
    np.testing.assert_allclose(outputs["logits"], plain(IMAGES), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(outputs["short"], shorter(IMAGES), rtol=1e-5, atol=1e-5)
    nested.save(tmp_path / "nested.keras")
    again = keras.saving.load_model(tmp_path / "nested.keras")
    assert is_nested(again)
    for name, like in (("full", plain), ("short", shorter)):
        one = path(again, name)
        np.testing.assert_allclose(one(IMAGES), like(IMAGES), rtol=1e-5, atol=1e-5)
        assert tfgates.count(one).ungated == tfgates.count(like).ungated
        one.save(tmp_path / "one.keras")
        loaded = keras.saving.load_model(tmp_path / "one.keras")
        np.testing.assert_array_equal(loaded(IMAGES), one(IMAGES))
    kernels = {weight.path for weight in nested.trainable_weights if "kernel" in weight.path}
    assert len(kernels) == sum("kernel" in weight.path for weight in plain.trainable_weights)


def test_a_step_follows_the_labels_and_the_full_path(plain):
    nested = nest(plain)
    classifier = compiled(nested, 0.0)
    images, labels = (part.numpy() for part in next(iter(batches(1))))
    outputs = nested(images, training=True)

    def log_softmax(logits):
        return np.log(keras.ops.convert_to_numpy(keras.ops.softmax(logits)).astype("float64"))

    full, short = log_softmax(outputs["logits"]), log_softmax(outputs["short"])
    expected = -full[np.arange(16), labels].mean() / 2
    expected += (np.exp(full) * (full - short)).sum(axis=1).mean() / 2
    log = classifier.fit(tf.data.Dataset.from_tensors((images, labels)), verbose=0).history
    np.testing.assert_allclose(log["loss"], [expected], rtol=1e-4)
    assert log["rate"] == [1.0]
