"""RandAugment, MixUp and CutMix of keras-cv, as functions of a seed.

keras-cv draws from generators with a state of their own, which no checkpoint holds. Here its draws
are replaced, while a layer is traced, by stateless ones, so that a resumed run repeats them.
"""

import contextlib

import keras
import tensorflow as tf

MIXUP_ALPHA = 0.2
CUTMIX_ALPHA = 1.0


def rand_augment(image, seed, magnitude):
    """Applies three random distortions (Cubuk et al., 2019).

    Args:
        image: float32 [H, W, 3], pixels 0-255.
        seed: int64 [2].
        magnitude: their strength, in (0, 1].

    Returns:
        float32 [H, W, 3], pixels 0-255.
    """
    import keras_cv

    with _stateless_draws(seed):
        layer = keras_cv.layers.RandAugment(value_range=(0, 255), magnitude=magnitude)
        # The layer branches on tensors, which only a function of its own translates everywhere.
        return tf.ensure_shape(tf.function(layer)(image), image.shape)


def mixup(images, labels, seed):
    """Blends each image, and its label, with another one of the batch (Zhang et al., 2017).

    Args:
        images: float32 [B, H, W, 3].
        labels: float32 [B, K], one-hot.
        seed: int64 [2].

    Returns:
        Images and labels of the same shapes; each label sums to 1.
    """
    import keras_cv

    with _stateless_draws(seed):
        mixed = keras_cv.layers.MixUp(alpha=MIXUP_ALPHA)({"images": images, "labels": labels})
    return tf.ensure_shape(mixed["images"], images.shape), mixed["labels"]


def cutmix(images, labels, seed):
    """Pastes a window of another image into each one (Yun et al., 2019); arguments as `mixup`."""
    import keras_cv

    # keras-cv counts a window whole that the border cuts off, so its pixels are counted here: each
    # image gets a mask of its own number, which is cut and pasted like the image.
    numbers = tf.range(tf.cast(tf.shape(images)[0], "float32"))
    masks = numbers[:, None, None, None] * tf.ones_like(images[..., :1])
    with _stateless_draws(seed):
        mixed = keras_cv.layers.CutMix(alpha=CUTMIX_ALPHA)(
            {"images": images, "labels": labels, "segmentation_masks": masks}
        )
    pasted = tf.cast(mixed["segmentation_masks"] != masks, "float32")
    other = tf.reduce_max(pasted * mixed["segmentation_masks"], axis=(1, 2, 3))
    share = tf.reduce_mean(pasted, axis=(1, 2, 3))[:, None]
    labels = (1 - share) * labels + share * tf.gather(labels, tf.cast(other, "int32"))
    return tf.ensure_shape(mixed["images"], images.shape), labels


MIXES = {"mixup": mixup, "cutmix": cutmix}


class _Draws:
    """What keras-cv calls of `tf.random` and of its generators, from one key."""

    def __init__(self, key):
        self.key = key
        self.count = 0

    def _next(self):
        self.count += 1
        return tf.random.experimental.stateless_fold_in(self.key, self.count)

    def uniform(self, shape, minval=0, maxval=None, dtype=tf.float32, **_):
        return tf.random.stateless_uniform(
            shape, self._next(), minval, 1 if maxval is None else maxval, dtype
        )

    def normal(self, shape, mean=0.0, stddev=1.0, dtype=tf.float32, **_):
        return tf.random.stateless_normal(shape, self._next(), mean, stddev, dtype)

    def gamma(self, shape, alpha, dtype=tf.float32, **_):
        return tf.random.stateless_gamma(shape, self._next(), alpha, dtype=dtype)

    def shuffle(self, value, **_):
        return tf.random.experimental.stateless_shuffle(value, self._next())

    def get_global_generator(self):
        return self


@contextlib.contextmanager
def _stateless_draws(key):
    names = ("uniform", "normal", "gamma", "shuffle", "get_global_generator")
    originals = {name: getattr(tf.random, name) for name in names}
    draws = _Draws(key)
    # Pixels and shares stay exact under mixed precision, which is the network's affair.
    precision = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        for name in names:
            setattr(tf.random, name, getattr(draws, name))
        yield
    finally:
        keras.config.set_dtype_policy(precision)
        for name, original in originals.items():
            setattr(tf.random, name, original)
