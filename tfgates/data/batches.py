"""Batches for training, a function of seed and epoch, and for evaluation, every image once."""

import tensorflow as tf

from tfgates.data.strong_augment import MIXES, rand_augment


def training_batches(
    dataset,
    preprocessing,
    augment,
    *,
    batch_size,
    steps_per_epoch,
    seed,
    first_epoch,
    epochs,
    magnitude=0.0,
    mix="none",
):
    """Returns the batches of the epochs `first_epoch` to `epochs` - 1, one after the other.

    The order and the augmentation of an epoch are functions of the seed and the number of the
    epoch, so that a resumed run sees the batches that the interrupted one would have seen.

    Args:
        dataset: `ImageDataset` or `FolderDataset`.
        preprocessing: `Preprocessing`.
        augment: one of `tfgates.data.augment.AUGMENTATIONS`.
        batch_size: global batch size.
        steps_per_epoch: batches of an epoch.
        seed: integer.
        first_epoch, epochs: the range of the epochs.
        magnitude: of RandAugment, in [0, 1]; 0 leaves it out.
        mix: "mixup", "cutmix" or "none".

    Returns:
        `tf.data.Dataset` of raw pixels, uint8 [B, H, W, 3], and int64 labels [B]. Mixed images
        are float32, and their labels shares of the classes, float32 [B, K].
    """

    def one_epoch(epoch):
        key = tf.random.experimental.stateless_fold_in(tf.constant([seed, 0], tf.int64), epoch)

        def example(index, record):
            image_bytes, label = record
            image_key = tf.random.experimental.stateless_fold_in(key, index)
            image = augment(image_bytes, preprocessing, image_key)
            if magnitude:
                strong_key = tf.random.experimental.stateless_fold_in(image_key, 2)
                image = rand_augment(image, strong_key, magnitude)
            # A quarter of the bytes to copy; the network standardizes, on its device.
            return tf.saturate_cast(tf.round(image), tf.uint8), label

        def mixed(index, batch):
            images, labels = batch
            batch_key = tf.random.experimental.stateless_fold_in(key, -1 - index)
            labels = tf.one_hot(labels, len(dataset.labels))
            return MIXES[mix](tf.cast(images, tf.float32), labels, batch_key)

        # The first number of a folded key depends on the key alone, so it is folded once more.
        order = tf.random.experimental.stateless_fold_in(key, tf.constant(0, tf.int64))[0]
        # Of this function's graph only: `shuffle` fails on a tensor where the global seed is 0.
        tf.random.set_seed(1)
        records = dataset.records("train", order).repeat().take(steps_per_epoch * batch_size)
        examples = records.enumerate().map(example, tf.data.AUTOTUNE)
        found = examples.batch(batch_size, drop_remainder=True)
        return found if mix == "none" else found.enumerate().map(mixed, tf.data.AUTOTUNE)

    return tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch).prefetch(2)


def evaluation_batches(dataset, split, preprocessing, batch_size, one_hot=False):
    """Returns every image of a split once, in batches of one size.

    The last batch is filled up with images of weight 0, so that each replica gets a share of it.

    Args:
        dataset: `ImageDataset` or `FolderDataset`.
        split: "train", "validation" or "test".
        preprocessing: `Preprocessing`.
        batch_size: images of a batch.
        one_hot: whether labels are float32 [B, K], as those of mixed images.

    Returns:
        `tf.data.Dataset` of raw pixels, float32 [B, H, W, 3], int64 labels [B] and float32 weights
        [B].
    """
    examples = dataset.records(split).map(
        lambda image_bytes, label: (preprocessing(image_bytes), label, 1.0), tf.data.AUTOTUNE
    )
    shape = (preprocessing.size, preprocessing.size, 3)
    filler = tf.data.Dataset.from_tensors((tf.zeros(shape), tf.constant(0, tf.int64), 0.0))
    examples = examples.concatenate(filler.repeat(-dataset.size(split) % batch_size))
    if one_hot:
        examples = examples.map(
            lambda image, label, weight: (image, tf.one_hot(label, len(dataset.labels)), weight)
        )
    return examples.batch(batch_size, drop_remainder=True).prefetch(2)
