"""From the bytes of an image to the input of a network: the same code in training and serving."""

import dataclasses

import numpy as np
import tensorflow as tf

STATISTICS_SAMPLE = 10_000
MIN_STD = 1e-3


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How images become network inputs.

    Attributes:
        size: height and width in pixels of the network's input.
        mean: of each of the three channels, on pixels in [0, 1].
        std: standard deviation of each of the three channels, on pixels in [0, 1], above 0.

    Raises:
        ValueError: an attribute out of its range.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self):
        if not isinstance(self.size, int) or self.size < 1:
            raise ValueError(f"`size` is a number of pixels. Received: {self.size!r}.")
        for name in ("mean", "std"):
            values = np.asarray(getattr(self, name), "float64")
            if values.shape != (3,) or not np.isfinite(values).all():
                raise ValueError(f"`{name}` has three finite numbers. Received: {values}.")
        if min(self.std) <= 0:
            raise ValueError(f"`std` is above 0. Received: {self.std}.")

    @classmethod
    def measured(cls, records, size):
        """Measures mean and std on the first 10,000 images.

        Args:
            records: `tf.data.Dataset` of (encoded image, label).
            size: height and width in pixels of the network's input.
        """
        images = records.take(STATISTICS_SAMPLE).map(
            lambda image_bytes, _: fit(decode(image_bytes), size) / 255.0, tf.data.AUTOTUNE
        )
        means, squares = [], []
        for batch in images.batch(500):
            pixels = tf.cast(batch, tf.float64)
            means.extend(tf.reduce_mean(pixels, [1, 2]).numpy())
            squares.extend(tf.reduce_mean(tf.square(pixels), [1, 2]).numpy())
        mean = np.mean(means, axis=0)
        std = np.sqrt(np.maximum(np.mean(squares, axis=0) - mean**2, 0.0))
        # A channel without contrast is only shifted.
        std = np.where(std < MIN_STD, 1.0, std)
        return cls(size, tuple(mean.round(4).tolist()), tuple(std.round(4).tolist()))

    def __call__(self, image_bytes):
        """Turns the bytes of one image, a string scalar, into float32 [size, size, 3]."""
        return self.standardize(fit(decode(image_bytes), self.size))

    def standardize(self, images):
        """Shifts and scales raw pixels, 0-255, [..., 3], by the mean and std; float32."""
        return (tf.cast(images, tf.float32) / 255.0 - self.mean) / self.std


def decode(image_bytes):
    """Decodes a JPEG, PNG, BMP, WebP or GIF (its first frame).

    Args:
        image_bytes: string scalar.

    Returns:
        uint8 [H, W, 3]; grey is repeated to three channels, transparency is dropped.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are no image.
    """
    image = tf.io.decode_image(image_bytes, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return image


def fit(image, size):
    """Fits an image into a square without distorting it.

    An image that lies within the square is centred and padded with black; of any other the central
    square is cut out and scaled with antialiasing.

    Args:
        image: [H, W, 3], pixels 0-255.
        size: side of the square in pixels.

    Returns:
        float32 [size, size, 3], pixels 0-255.
    """
    height_width = tf.shape(image)[:2]
    inside = tf.reduce_all(height_width <= size)
    side = tf.where(inside, size, tf.reduce_min(height_width))
    square = tf.image.resize_with_crop_or_pad(image, side, side)
    # A square of the right size is left exactly as it is.
    return tf.ensure_shape(tf.image.resize(square, [size, size], antialias=True), [size, size, 3])
