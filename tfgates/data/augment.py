"""Training augmentation, a function of the image and a seed, so that a resumed run repeats it."""

import dataclasses

import tensorflow as tf

from tfgates.data.preprocess import DCT, decode, scaled
from tfgates.data.strong_augment import MIXES, rand_augment

PAD = 4
MIN_AREA = 0.08
ASPECTS = (3 / 4, 4 / 3)


def crop_flip(image_bytes, preprocessing, seed):
    """Pads by 4 black pixels, cuts out a random window of the old size, flips half of the images.

    The usual augmentation for 32x32 images (He et al., 2015, section 4.2).
    """
    image = preprocessing(image_bytes)
    padded = tf.pad(image, [[PAD, PAD], [PAD, PAD], [0, 0]])
    window = tf.image.stateless_random_crop(padded, image.shape, seed)
    return _flipped(window, seed)


def resized_crop_flip(image_bytes, preprocessing, seed):
    """Scales a random window to the input's size, and flips half of the images.

    The usual augmentation for ImageNet (Szegedy et al., 2015, section 6): 8 to 100 % of the area,
    aspect 3/4 to 4/3, drawn as `tf.image` draws them. Of a JPEG only the window is decoded.
    """
    jpeg = tf.io.is_jpeg(image_bytes)
    shape = tf.cond(
        jpeg,
        lambda: tf.io.extract_jpeg_shape(image_bytes),
        lambda: tf.shape(decode(image_bytes)),
    )
    begin, size = sample_window(shape, seed)
    window = tf.concat([begin[:2], size[:2]], axis=0)
    image = tf.cond(
        jpeg,
        lambda: tf.image.decode_and_crop_jpeg(image_bytes, window, channels=3, dct_method=DCT),
        lambda: tf.slice(decode(image_bytes), begin, size),
    )
    image.set_shape([None, None, 3])
    return _flipped(scaled(image, preprocessing.size), seed)


def sample_window(shape, seed):
    """Draws a window of an image.

    Args:
        shape: int32 [3], height, width and channels.
        seed: int64 [2].

    Returns:
        Its first pixel and its size, each int32 [3].
    """
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        shape,
        tf.zeros([1, 0, 4]),
        seed,
        # Of no box, any window is a window of the whole image.
        min_object_covered=0.0,
        area_range=(MIN_AREA, 1.0),
        aspect_ratio_range=ASPECTS,
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    return begin, size


def flip(image_bytes, preprocessing, seed):
    """Flips half of the images left to right."""
    return _flipped(preprocessing(image_bytes), seed)


def none(image_bytes, preprocessing, seed):
    """Leaves the image as it is."""
    del seed
    return preprocessing(image_bytes)


# Each takes the bytes of an image, a string scalar, the `Preprocessing` of the run and a seed,
# int64 [2]; it returns raw pixels, float32 [size, size, 3], 0-255.
WINDOWS = {
    "crop_flip": crop_flip,
    "resized_crop_flip": resized_crop_flip,
    "flip": flip,
    "none": none,
}


def _flipped(image, seed):
    key = tf.random.experimental.stateless_fold_in(seed, 1)
    return tf.image.stateless_random_flip_left_right(image, key)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What happens to training images.

    Attributes:
        window: which part of each image is taken, a key of `WINDOWS`.
        magnitude: of RandAugment, in [0, 1]; 0 leaves it out.
        mix: how the images of a batch are mixed, a key of `MIXES` or "none".
    """

    window: str = "none"
    magnitude: float = 0.0
    mix: str = "none"

    def __call__(self, image_bytes, preprocessing, seed):
        """Augments one image.

        Args:
            image_bytes: string scalar.
            preprocessing: `Preprocessing`.
            seed: int64 [2].

        Returns:
            Raw pixels, uint8 [size, size, 3]: a quarter of the bytes to copy; the network
            standardizes them on its device.
        """
        image = WINDOWS[self.window](image_bytes, preprocessing, seed)
        if self.magnitude:
            key = tf.random.experimental.stateless_fold_in(seed, 2)
            image = rand_augment(image, key, self.magnitude)
        return tf.saturate_cast(tf.round(image), tf.uint8)

    def mixed(self, images, labels, seed):
        """Mixes the images of a batch, and their labels, float32 [B, K], as `MIXES` say."""
        return MIXES[self.mix](tf.cast(images, tf.float32), labels, seed)
