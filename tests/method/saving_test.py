"""Saving: identical outputs, optimizer and noise; training goes on bit-identically."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import PREPROCESSING, randomize, real_images, small_network
from trained import batches, compiled

import tfgates
from tfgates.base.errors import UserError
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.policies import Expected, Sample, Threshold
from tfgates.training import checkpoint
from tfgates.training.schedule import StepDecay


@pytest.mark.parametrize("gate", ["dependent", "independent", "none"])
def test_a_loaded_classifier_is_identical_and_trains_on_bit_identically(tmp_path, gate):
    classifier = compiled(randomize(small_network(gate)), weight_decay=1e-3, target_rate=0.4)
    classifier.fit(batches(4), verbose=0)
    classifier.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    images = np.random.default_rng(1).random((5, 8, 8, 3), "float32")
    for policy in (Threshold(0.4), Expected(), Sample()):
        ours, theirs = (one.network(images, policy=policy) for one in (classifier, loaded))
        for mine, other in zip(*map(keras.tree.flatten, (ours, theirs)), strict=True):
            np.testing.assert_array_equal(mine, other)
    for one in (classifier, loaded):
        one.fit(batches(5), verbose=0)
    assert int(loaded.optimizer.iterations) == 9
    for ours, theirs in zip(
        classifier.variables + classifier.optimizer.variables,
        loaded.variables + loaded.optimizer.variables,
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


def test_the_model_of_a_run_folder_is_its_last_checkpoint(whole_run):
    whole, _ = whole_run
    loaded = whole.load_classifier()
    schedule = StepDecay(0.05, [6])
    plain = cifar_resnet(8, 10, statistics=whole.load_statistics())
    restored = compiled(tfgates.gate(plain, seed=99), schedule)
    assert checkpoint.restore(whole.checkpoints, restored) == 3
    assert int(loaded.optimizer.iterations) == int(restored.optimizer.iterations) == 9
    ours_and_theirs = [
        [*one.network.variables, *(v for v in one.optimizer.variables if "momentum" in v.path)]
        for one in (loaded, restored)
    ]
    assert len(ours_and_theirs[0]) > len(loaded.network.variables)
    for ours, theirs in zip(*ours_and_theirs, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    images = np.stack([PREPROCESSING(image) for image in real_images(8)[0]])
    for policy in (Threshold(), Sample()):
        np.testing.assert_array_equal(
            loaded(images, policy=policy), restored(images, policy=policy)
        )


def test_a_checkpoint_of_another_optimizer_is_refused(whole_run):
    """Keras would warn and go on with an optimizer that starts afresh."""
    whole, _ = whole_run
    with pytest.raises(UserError, match="Skipping variable loading"):
        checkpoint.restore(whole.checkpoints, compiled(tfgates.gate(cifar_resnet(8, 10))))


@pytest.mark.parametrize("gate", ["dependent", "none"])
def test_an_exported_classifier_answers_alike(tmp_path, gate):
    classifier = compiled(randomize(small_network(gate)))
    images = np.random.default_rng(1).random((5, 8, 8, 3), "float32")
    classifier.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_allclose(loaded.serve(images), classifier(images), atol=1e-5)
