"""Decoding inside the served graph: every kind of image, and those that are none."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from examples import PREPROCESSING
from PIL import Image

from tfgates.export.decode import (
    GOOD,
    MAX_PIXELS,
    TOO_LARGE,
    TOO_MANY,
    UNREADABLE,
    decode_all,
    decode_each,
)
from tfgates.export.effort import MAX_SCANS, effort, num_pixels, num_scans

TEXTS = [tf.TensorSpec([None], tf.string)]
PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 255, (37, 53, 3), dtype=np.uint8))


def encoded(kind, image=PHOTO, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded("JPEG", exif=exif)


KINDS = {
    "JPEG": encoded("JPEG"),
    "progressive JPEG": encoded("JPEG", progressive=True),
    "grey JPEG": encoded("JPEG", PHOTO.convert("L")),
    "CMYK JPEG": encoded("JPEG", PHOTO.convert("CMYK")),
    "JPEG with EXIF": turned(),
    "PNG": encoded("PNG"),
    "PNG with alpha": encoded("PNG", PHOTO.convert("RGBA")),
    "grey PNG with alpha": encoded("PNG", PHOTO.convert("LA")),
    "PNG with palette": encoded("PNG", PHOTO.convert("P")),
    "PNG of 1 bit": encoded("PNG", PHOTO.convert("1")),
    "PNG of 16 bits": encoded("PNG", PHOTO.convert("I;16")),
    "BMP": encoded("BMP"),
    "BMP with alpha": encoded("BMP", PHOTO.convert("RGBA")),
    "WebP": encoded("WEBP"),
    "lossless WebP": encoded("WEBP", lossless=True),
    "WebP with alpha": encoded("WEBP", PHOTO.convert("RGBA"), exif=b"Exif\0\0"),
}


def png_of(height, width):
    """The first bytes of a PNG of a size, as a bomb would have them."""
    header = struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header


LARGE = {
    "PNG": png_of(100_000, 100_000),
    "PNG beyond all numbers": png_of(2**32 - 1, 2**32 - 1),
    "BMP": b"BM" + bytes(16) + struct.pack("<ii", 30_000, -30_000) + bytes(20),
    "JPEG": KINDS["JPEG"].replace(struct.pack(">HH", 37, 53), struct.pack(">HH", 65000, 65000)),
    "WebP": KINDS["WebP"][:26] + struct.pack("<HH", 16383, 16383) + KINDS["WebP"][30:],
}


@pytest.fixture(scope="module")
def robust():
    return tf.function(lambda texts: decode_each(texts, PREPROCESSING), input_signature=TEXTS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_image_is_read_as_in_training(robust, kind):
    images, codes = robust([KINDS[kind]])
    assert codes.numpy().tolist() == [GOOD]
    np.testing.assert_array_equal(images[0], PREPROCESSING(KINDS[kind]))
    assert num_pixels(KINDS[kind]) == 37 * 53


def test_bad_images_leave_their_neighbours_alone(robust):
    good = KINDS["PNG"]
    images, codes = robust([good, b"", b"text", good[:300], LARGE["PNG"], good, b"\xff\xd8"])
    assert codes.numpy().tolist() == [
        *(GOOD, UNREADABLE, UNREADABLE, UNREADABLE),
        *(TOO_LARGE, GOOD, UNREADABLE),
    ]
    expected = PREPROCESSING(good)
    for index, image in enumerate(images):
        np.testing.assert_array_equal(image, expected if index in (0, 5) else 0 * expected)


@pytest.mark.parametrize("kind", LARGE)
def test_a_huge_image_is_not_decoded(robust, kind):
    assert not 0 <= num_pixels(LARGE[kind]) <= MAX_PIXELS
    assert robust([LARGE[kind], KINDS["PNG"]])[1].numpy().tolist() == [TOO_LARGE, GOOD]


FRAMES = {"save_all": True, "append_images": [PHOTO.transpose(Image.Transpose.ROTATE_180)]}


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_an_animation_is_not_decoded(robust, kind):
    """Its frames, each of any size, would all be decoded to return the first."""
    animation = encoded(kind, **FRAMES)
    assert robust([animation, KINDS["PNG"]])[1].numpy().tolist() == [UNREADABLE, GOOD]


def test_the_bound_is_exact():
    assert num_pixels(png_of(8000, 8000)) == MAX_PIXELS


PALETTES = {"P": "a palette", "L": "shades of grey", "1": "black and white"}


@pytest.mark.parametrize("mode", PALETTES, ids=PALETTES.values())
def test_a_bmp_with_a_palette_is_refused_in_training_and_serving(robust, mode):
    """TensorFlow would take its indices for shades of grey."""
    image = encoded("BMP", PHOTO.convert(mode))
    assert robust([image, KINDS["BMP"]])[1].numpy().tolist() == [UNREADABLE, GOOD]
    with pytest.raises(tf.errors.InvalidArgumentError, match="24 or 32 bits"):
        PREPROCESSING(image)


def with_scans(count, jpeg=KINDS["progressive JPEG"]):
    """Returns a progressive JPEG whose last scan stands there again until there are so many."""
    last = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    return jpeg[:-2] + last * (count - jpeg.count(b"\xff\xda")) + jpeg[-2:]


def test_scans_are_counted():
    assert num_scans(KINDS["JPEG"]) == 1
    assert num_scans(KINDS["progressive JPEG"]) == 10
    assert num_scans(with_scans(77)) == 77
    # Behind a picture a phone may put a film.
    film = np.random.default_rng(0).bytes(2**20)
    assert b"\xff\xda" in film
    assert num_scans(KINDS["JPEG"] + film) == 1
    assert num_scans(KINDS["JPEG"] + b"\xff\xda" * 1000) > MAX_SCANS


def test_scans_are_bounded_and_count_as_pixels(robust):
    images = [with_scans(MAX_SCANS), with_scans(MAX_SCANS + 1), with_scans(500), KINDS["PNG"]]
    codes = robust(images)[1].numpy().tolist()
    assert codes == [GOOD, TOO_LARGE, TOO_LARGE, GOOD]
    sizes = struct.pack(">HH", 37, 53), struct.pack(">HH", 8000, 4001)
    large, larger = (with_scans(count).replace(*sizes) for count in (20, 21))
    assert (effort(large), effort(larger)) == (2 * 8000 * 4001, 3 * 8000 * 4001)
    assert robust([larger])[1].numpy().tolist() == [TOO_LARGE]


def test_the_pixels_of_a_request_are_bounded_and_small_images_are_not_to_blame(robust):
    largest = png_of(8000, 8000)
    codes = robust([*[largest] * 9, KINDS["PNG"]])[1].numpy().tolist()
    # There is nothing behind these headers.
    assert codes == [*[UNREADABLE] * 8, TOO_MANY, GOOD]


def test_no_images_at_all(robust):
    images, codes = robust(tf.constant([], tf.string))
    assert (images.shape, codes.shape) == ((0, 32, 32, 3), (0,))


def test_strict_decoding_is_the_same_but_fails_whole():
    strict = tf.function(lambda texts: decode_all(texts, PREPROCESSING), input_signature=TEXTS)
    images, codes = strict([KINDS["JPEG"], KINDS["PNG"]])
    assert codes.numpy().tolist() == [GOOD, GOOD]
    np.testing.assert_array_equal(images[0], PREPROCESSING(KINDS["JPEG"]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown image file format"):
        strict([KINDS["JPEG"], b"text"])
    for refused in (LARGE["PNG"], encoded("GIF")):
        with pytest.raises(tf.errors.InvalidArgumentError, match="at most 64000000 pixels"):
            strict([refused])
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 512000000 pixels"):
        strict([png_of(8000, 8000)] * 9)
