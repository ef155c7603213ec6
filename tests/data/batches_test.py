"""The batches of training, a function of seed and epoch, and of evaluation."""

import numpy as np
import tensorflow as tf
from examples import PREPROCESSING

from tfgates.data import augment, batches


def epoch_batches(shipped, seed, first_epoch, epochs, window="crop_flip"):
    found = batches.training_batches(
        shipped,
        PREPROCESSING,
        augment.Augmentation(window),
        batch_size=16,
        steps_per_epoch=2,
        seed=seed,
        first_epoch=first_epoch,
        epochs=epochs,
    )
    return [(images.numpy(), labels.numpy()) for images, labels in found]


def test_batches_are_a_function_of_seed_and_epoch(shipped):
    whole = epoch_batches(shipped, 1, 0, 3)
    resumed = epoch_batches(shipped, 1, 2, 3)
    assert len(whole) == 6
    for expected, found in zip(whole[4:], resumed, strict=True):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


def test_epochs_and_seeds_differ_in_their_order_and_in_their_augmentation(shipped):
    whole = epoch_batches(shipped, 1, 0, 2, "none")
    other_seed = epoch_batches(shipped, 2, 0, 1, "none")
    for other in (whole[2], whole[3], other_seed[0]):
        first, second = ({image.tobytes() for image in batch[0]} for batch in (whole[0], other))
        assert len(first & second) < 3
    image = tf.io.encode_png(whole[0][0][0])
    moved = {
        augment.crop_flip(image, PREPROCESSING, tf.constant([epoch, 0], tf.int64)).numpy().tobytes()
        for epoch in range(8)
    }
    assert len(moved) == 8


def test_an_epoch_sees_every_image_once(shipped):
    found = batches.training_batches(
        shipped,
        PREPROCESSING,
        augment.Augmentation(),
        batch_size=100,
        steps_per_epoch=100,
        seed=5,
        first_epoch=3,
        epochs=4,
    )
    seen = {image.tobytes() for images, _ in found for image in images.numpy()}
    assert len(seen) == len({image.numpy() for image, _ in shipped.records("train")})


def test_evaluation_fills_the_last_batch_with_images_of_no_weight(shipped):
    found = list(batches.evaluation_batches(shipped, "validation", PREPROCESSING, 300))
    assert [images.shape[0] for images, _, _ in found] == [300] * 4
    weights = np.concatenate([weights for _, _, weights in found])
    np.testing.assert_array_equal(weights, [1] * 1000 + [0] * 200)
