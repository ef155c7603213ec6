"""Training augmentation, a function of the image and a seed, so that a resumed run repeats it."""

import tensorflow as tf

PAD = 4


def crop_and_flip(image, seed):
    """Pads by 4 pixels, cuts out a random window of the old size, and flips half of the images.

    The usual augmentation for 32x32 images (He et al., 2015, section 4.2).

    Args:
        image: float [H, W, C].
        seed: int64 [2].

    Returns:
        float [H, W, C].
    """
    shape = image.shape
    image = tf.pad(image, [[PAD, PAD], [PAD, PAD], [0, 0]])
    image = tf.image.stateless_random_crop(image, shape, seed)
    return flip(image, tf.random.experimental.stateless_fold_in(seed, 1))


def flip(image, seed):
    """Flips half of the images left to right.

    Args:
        image: float [H, W, C].
        seed: int64 [2].
    """
    return tf.image.stateless_random_flip_left_right(image, seed)


def none(image, seed):
    """Leaves the image as it is."""
    del seed
    return image


AUGMENTATIONS = {"crop_flip": crop_and_flip, "flip": flip, "none": none}
