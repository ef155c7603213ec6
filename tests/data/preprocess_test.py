"""From encoded images to raw pixels of one size, and their statistics."""

import io

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tfgates.data.augment import resized_crop_flip, sample_window
from tfgates.data.preprocess import Preprocessing, decode, measure, scaled, square


def test_grey_images_are_padded_and_repeated():
    image = np.random.default_rng(0).integers(0, 256, (28, 28, 1), "uint8")
    decoded = decode(tf.io.encode_png(image))
    np.testing.assert_array_equal(decoded, np.repeat(image, 3, axis=2))
    fitted = square(decoded, 32).numpy()
    assert fitted.shape == (32, 32, 3)
    np.testing.assert_array_equal(fitted[2:30, 2:30], decoded)
    fitted[2:30, 2:30] = 0
    assert not fitted.any()


JPEGS = {
    "usual": {"quality": 75},
    "whole colours": {"quality": 95, "subsampling": 0},
    "progressive": {"quality": 60, "progressive": True},
}


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
def test_a_jpeg_is_decoded_as_pillow_does(mode, options):
    """The published networks were trained on what it makes; noise shows every rounding."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), "uint8")
    file = io.BytesIO()
    PIL.Image.fromarray(noise).convert(mode).save(file, "JPEG", **options)
    expected = np.asarray(PIL.Image.open(file).convert("RGB"))
    np.testing.assert_array_equal(decode(file.getvalue()), expected)


def test_a_window_of_a_jpeg_is_decoded_in_the_same_way():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), "uint8")
    jpeg = tf.io.encode_jpeg(noise, quality=95, chroma_downsampling=False)
    # Of a picture of the network's size a window is scaled; each pixel stays near one of its own.
    whole = decode(jpeg)
    for seed in range(4):
        key = tf.constant([seed, 1], tf.int64)
        begin, size = sample_window(tf.shape(whole), key)
        expected = scaled(tf.slice(whole, begin, size), 64)
        found = resized_crop_flip(jpeg, Preprocessing(64), key).numpy()
        flips = [np.abs(found - one).max() for one in (expected, expected[:, ::-1])]
        assert min(flips) == 0


@pytest.mark.parametrize("shape", [(64, 48), (20, 40), (33, 32), (500, 376), (40, 42)])
def test_larger_images_are_scaled_and_cropped(shape):
    ramp = np.broadcast_to(np.linspace(0, 255, shape[1])[None, :, None], (*shape, 3))
    fitted = square(ramp, 32).numpy()
    assert fitted.shape == (32, 32, 3)
    # The crop is central: the ramp stays symmetric about its middle.
    np.testing.assert_allclose(fitted + fitted[:, ::-1], 255, atol=1.0)


@pytest.mark.parametrize("shape", [(1, 60_000), (60_000, 1), (1, 1), (3, 900)])
def test_extreme_shapes_are_fitted(shape):
    fitted = square(np.full((*shape, 3), 200, "uint8"), 32).numpy()
    assert fitted.shape == (32, 32, 3)
    assert fitted.max() == 200


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_png_becomes_three_channels_of_bytes(channels, dtype):
    image = np.full((32, 32, channels), np.iinfo(dtype).max, dtype)
    decoded = decode(tf.io.encode_png(image))
    assert decoded.dtype == tf.uint8
    np.testing.assert_array_equal(decoded, np.full((32, 32, 3), 255))


def test_measured_statistics_are_those_of_numpy(shipped):
    mean, std = measure(shipped.records("validation"), Preprocessing(32))
    pixels = np.stack([square(decode(image), 32) for image, _ in shipped.records("validation")])
    pixels = pixels.astype("float64") / 255
    np.testing.assert_allclose(mean, pixels.mean((0, 1, 2)), atol=1e-4)
    np.testing.assert_allclose(std, pixels.std((0, 1, 2)), atol=1e-4)


def test_images_of_one_colour_have_finite_statistics():
    for grey in (75, 95, 105, 115):
        image = tf.io.encode_png(np.full((32, 32, 3), grey, "uint8"))
        records = tf.data.Dataset.from_tensors((image, 0)).repeat(7)
        assert measure(records, Preprocessing(32))[1] == (1.0, 1.0, 1.0)
