"""From the bytes of an image to raw pixels of one size: the same code in training and serving."""

import dataclasses

import numpy as np
import tensorflow as tf

STATISTICS_SAMPLE = 10_000
MIN_STD = 1e-3
# Mean and standard deviation of the channels, on pixels in [0, 1], as the published networks use;
# and those with which a network gets pixels from 0 to 255, from 0 to 1, from -1 to 1.
STATISTICS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "raw": ((0.0,) * 3, (1 / 255,) * 3),
    "unit": ((0.0,) * 3, (1.0,) * 3),
    "symmetric": ((0.5,) * 3, (0.5,) * 3),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
}
# The transform of a JPEG that Pillow takes too, with which the published networks were trained. The
# default is faster by some percent, and differs by up to 18 of 255.
DCT = "INTEGER_ACCURATE"
# \C is one byte; the bits of a pixel are byte 28.
BMP_OF_FEW_BITS = r"BM\C{26}[\x00-\x17\x19-\x1f\x21-\x7f]\C*"


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How images become network inputs, raw pixels of one size.

    Attributes:
        size: height and width in pixels of the network's input.
        resize: how an image is fitted into the square, a key of `RESIZES`.

    Raises:
        ValueError: an attribute out of its range.
    """

    size: int
    resize: str = "square"

    def __post_init__(self):
        if not isinstance(self.size, int) or self.size < 1:
            raise ValueError(f"`size` is a number of pixels. Received: {self.size!r}.")
        if self.resize not in RESIZES:
            raise ValueError(f"`resize` is one of {', '.join(RESIZES)}. Received: {self.resize!r}.")

    def __call__(self, image_bytes):
        """Decodes and fits one image, a string scalar: float32 [size, size, 3], pixels 0-255."""
        return RESIZES[self.resize](decode(image_bytes), self.size)


def measure(records, preprocessing, progress=None):
    """Measures the mean and standard deviation of the channels on the first 10,000 images.

    Args:
        records: `tf.data.Dataset` of (encoded image, label).
        preprocessing: `Preprocessing`.
        progress: function called with the number of images done; or None.

    Returns:
        Two tuples of three floats, on pixels in [0, 1].
    """
    images = records.take(STATISTICS_SAMPLE).map(
        lambda image_bytes, _: preprocessing(image_bytes) / 255.0, tf.data.AUTOTUNE
    )
    means, squares = [], []
    for batch in images.batch(500):
        pixels = tf.cast(batch, tf.float64)
        means.extend(tf.reduce_mean(pixels, [1, 2]).numpy())
        squares.extend(tf.reduce_mean(tf.square(pixels), [1, 2]).numpy())
        if progress is not None:
            progress(len(means))
    mean = np.mean(means, axis=0)
    std = np.sqrt(np.maximum(np.mean(squares, axis=0) - mean**2, 0.0))
    # A channel without contrast is only shifted.
    std = np.where(std < MIN_STD, 1.0, std)
    return tuple(mean.round(4).tolist()), tuple(std.round(4).tolist())


def decode(image_bytes):
    """Decodes a JPEG, PNG, BMP, WebP or GIF (its first frame).

    Args:
        image_bytes: string scalar.

    Returns:
        uint8 [H, W, 3], of a JPEG in RGB or grey the same as Pillow's; grey is repeated to three
        channels, transparency is dropped.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are no image, or a BMP with a palette, whose
            indices TensorFlow would take for shades of grey.
    """
    has_palette = tf.strings.regex_full_match(image_bytes, BMP_OF_FEW_BITS)
    rule = "a BMP has 24 or 32 bits for each pixel, and no palette"
    with tf.control_dependencies([tf.debugging.Assert(~has_palette, [rule])]):
        image_bytes = tf.identity(image_bytes)
    image = tf.cond(
        tf.io.is_jpeg(image_bytes),
        lambda: tf.io.decode_jpeg(image_bytes, channels=3, dct_method=DCT),
        lambda: tf.io.decode_image(image_bytes, channels=3, expand_animations=False),
    )
    image.set_shape([None, None, 3])
    return image


def square(image, size):
    """Fits an image into a square, whole where it can be.

    An image that lies within the square is centred and padded with black; of any other the central
    square is cut out and scaled.

    Args:
        image: [H, W, 3], pixels 0-255.
        size: side of the square in pixels.

    Returns:
        float32 [size, size, 3], pixels 0-255.
    """
    height_width = tf.shape(image)[:2]
    inside = tf.reduce_all(height_width <= size)
    side = tf.where(inside, size, tf.reduce_min(height_width))
    return scaled(_central(image, side), size)


def shorter_side(image, size):
    """Scales the shorter side to 256/224 of the size and cuts out the centre.

    The usual evaluation on ImageNet (He et al., 2015): for 224 pixels the shorter side is 256. The
    central square is cut out before it is scaled, so that a long image costs no memory.

    Args:
        image: [H, W, 3], pixels 0-255.
        size: side of the centre in pixels.

    Returns:
        float32 [size, size, 3], pixels 0-255.
    """
    side = tf.reduce_min(tf.shape(image)[:2])
    return _central(scaled(_central(image, side), _with_margin(size)), size)


def stretch(image, size):
    """Scales to a square of 256/224 of the size, whatever its aspect, and cuts out the centre.

    The paper to the letter: 256 x 256, then the central 224 x 224 (section 4.1.1).

    Args:
        image: [H, W, 3], pixels 0-255.
        size: side of the centre in pixels.

    Returns:
        float32 [size, size, 3], pixels 0-255.
    """
    return _central(scaled(image, _with_margin(size)), size)


def scaled(image, size):
    """Scales an image, or a window of one, to a square: in training, evaluation and serving.

    Bilinear with antialiasing: of a large photo every pixel counts, not every n-th. An image of the
    right size is left exactly as it is.

    Args:
        image: [H, W, 3].
        size: side of the square in pixels.

    Returns:
        float32 [size, size, 3].
    """
    return tf.ensure_shape(tf.image.resize(image, [size, size], antialias=True), [size, size, 3])


RESIZES = {"square": square, "shorter_side": shorter_side, "stretch": stretch}


def _with_margin(size):
    return round(size * 256 / 224)


def _central(image, side):
    return tf.image.resize_with_crop_or_pad(image, side, side)
