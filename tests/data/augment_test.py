"""Augmentation: windows and mixtures against their definitions, as functions of a seed."""

import keras
import matplotlib.cbook
import numpy as np
import pytest
import tensorflow as tf
from examples import PREPROCESSING, operations

from tfgates.data.augment import (
    MIN_AREA,
    Augmentation,
    crop_flip,
    resized_crop_flip,
    sample_window,
)
from tfgates.data.preprocess import Preprocessing, decode, scaled
from tfgates.data.strong_augment import MIXES, rand_augment

# A photograph of 600 x 512 pixels that comes with matplotlib.
PHOTO = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)


@pytest.fixture(scope="module")
def jpeg():
    return tf.io.read_file(PHOTO)


def seeds(count):
    return [tf.constant([seed, 3], tf.int64) for seed in range(count)]


def ramps(height, width):
    """An image whose first channel is the row and whose second channel is the column."""
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    return np.stack([rows, columns, 0 * rows], axis=-1).astype("uint8")


def test_crop_and_flip_moves_the_image_and_keeps_its_pixels():
    pixels = np.zeros((32, 32, 3), "uint8")
    pixels[16, 10] = 1
    image = tf.io.encode_png(pixels)
    places = set()
    for seed in range(40):
        seeds = tf.constant([seed, 0], tf.int64)
        moved = crop_flip(image, PREPROCESSING, seeds).numpy()
        assert moved.sum() == 3
        places.add(tuple(np.argwhere(moved[..., 0])[0]))
    rows, columns = map(set, zip(*places, strict=True))
    assert rows <= set(range(12, 21))
    assert columns <= set(range(6, 15)) | set(range(17, 26))
    assert columns & set(range(17, 26))
    assert columns & set(range(6, 15))


def test_windows_have_the_areas_and_aspects_of_the_paper():
    png = tf.io.encode_png(ramps(200, 240))
    crop = tf.function(lambda seed: resized_crop_flip(png, Preprocessing(64), seed))
    areas, aspects, flipped = [], [], []
    for seed in seeds(300):
        window = crop(seed).numpy()
        # The outer pixels lie half a step inside of the window, on both sides.
        height, width = (abs(np.ptp(window[..., axis])) * 64 / 63 for axis in (0, 1))
        areas.append(height * width / (200 * 240))
        aspects.append(width / height)
        flipped.append(window[0, 0, 1] > window[0, -1, 1])
    assert MIN_AREA - 0.01 < min(areas) < 0.12
    assert 0.85 < max(areas) <= 1.02
    # Heights are uniform, so that small areas are more frequent than large ones.
    assert 0.35 < np.mean(areas) < 0.46
    assert 0.70 < min(aspects) < 0.80
    assert 1.25 < max(aspects) < 1.42
    assert 0.4 < np.mean(flipped) < 0.6


def test_of_a_jpeg_the_window_alone_is_decoded_to_the_same_pixels(jpeg):
    png = tf.io.encode_png(decode(jpeg))
    for seed in seeds(6):
        from_jpeg, from_png = (
            resized_crop_flip(image, Preprocessing(96), seed).numpy() for image in (jpeg, png)
        )
        # Chroma is interpolated at the window's border from fewer pixels.
        assert np.abs(from_jpeg - from_png).mean() < 0.5
    spec = tf.TensorSpec([], tf.string)
    assert "DecodeAndCropJpeg" in used_by(
        lambda text: resized_crop_flip(text, Preprocessing(96), seeds(1)[0]), spec
    )


def test_a_window_is_scaled_as_an_image_is_in_evaluation(jpeg):
    """Not by every n-th pixel: what a large photo loses in detail is averaged in both."""
    image = decode(jpeg)
    png = tf.io.encode_png(image)
    for seed in seeds(6):
        window = resized_crop_flip(png, Preprocessing(48), seed).numpy()
        expected = scaled(tf.slice(image, *sample_window(tf.shape(image), seed)), 48).numpy()
        flipped = np.abs(window - expected[:, ::-1]).max() < np.abs(window - expected).max()
        np.testing.assert_array_equal(window, expected[:, ::-1] if flipped else expected)


def used_by(function, *arguments):
    """Returns the types of the operations of a function, for arguments of the given specs."""
    graph = tf.function(function).get_concrete_function(*arguments).graph
    return set(operations(graph.as_graph_def()))


STATEFUL = {"RandomUniform", "RandomUniformInt", "RandomStandardNormal", "RandomShuffle"}
STATEFUL |= {"RandomGamma", "StatefulUniform", "StatefulStandardNormalV2", "RngReadAndSkip"}


def test_rand_augment_is_a_function_of_the_seed(jpeg):
    image = tf.image.resize(decode(jpeg), (64, 64))
    augment = tf.function(lambda seed: rand_augment(image, seed, 0.3))
    once, again = (np.stack([augment(seed) for seed in seeds(12)]) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert len({one.tobytes() for one in once}) == 12
    assert once.min() >= 0
    assert once.max() <= 255
    used = used_by(lambda seed: rand_augment(image, seed, 0.3), tf.TensorSpec([2], tf.int64))
    assert not used & STATEFUL
    assert "StatelessRandomUniformV2" in used


def augmented(jpeg, mix):
    """An image, or a mixed batch of 300: in half precision their numbers would not be exact."""
    augmentation = Augmentation("none", magnitude=0.3, mix=mix)
    if mix == "none":
        return [augmentation(jpeg, Preprocessing(16), seeds(1)[0])]
    images = np.broadcast_to(np.arange(300)[:, None, None, None] % 256, (300, 16, 16, 3))
    return augmentation.mixed(images, tf.one_hot(range(300), 300), seeds(1)[0])


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("mix", ["none", *MIXES])
def test_mixed_precision_is_the_networks_affair(jpeg, precision, mix):
    expected = tf.function(augmented)(jpeg, mix)
    keras.config.set_dtype_policy(precision)
    found = tf.function(augmented)(jpeg, mix)
    assert keras.config.dtype_policy().name == precision
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", MIXES)
def test_mixed_images_and_labels_belong_together(name):
    """Each image has one value, its label's number, so the shares can be read off the pixels."""
    numbers = np.arange(1.0, 9.0, dtype="float32")
    images = tf.constant(np.broadcast_to(numbers[:, None, None, None], (8, 32, 32, 3)))
    labels = tf.one_hot(range(8), 8)
    mix = tf.function(lambda seed: MIXES[name](images, labels, seed))
    mixed, shares = (values.numpy() for values in mix(seeds(1)[0]))
    np.testing.assert_allclose(shares.sum(axis=1), np.ones(8), rtol=1e-5)
    assert (shares > 0.02).sum() > 8
    np.testing.assert_allclose(mixed.mean((1, 2, 3)), shares @ numbers, rtol=0.02)
    again, other = mix(seeds(1)[0])[0], mix(seeds(2)[1])[0]
    np.testing.assert_array_equal(mixed, again)
    assert (mixed != other.numpy()).any()
    spec = tf.TensorSpec([2], tf.int64)
    assert not used_by(lambda seed: MIXES[name](images, labels, seed), spec) & STATEFUL
