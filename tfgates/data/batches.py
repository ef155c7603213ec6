"""Batches for training, a function of seed and epoch, and for evaluation, every image once."""

import math

import tensorflow as tf

# Which share of each batch is made here: all of it, for one replica in one process.
WHOLE = tf.distribute.InputContext()


def training_batches(
    dataset,
    preprocessing,
    augmentation,
    *,
    batch_size,
    steps_per_epoch,
    seed,
    first_epoch,
    epochs,
    share=WHOLE,
):
    """Returns the batches of the epochs `first_epoch` to `epochs` - 1, one after the other.

    The order and the augmentation of an epoch are functions of the seed and the number of the
    epoch, so that a resumed run sees the batches that the interrupted one would have seen.

    Args:
        dataset: `ImageDataset` or `FolderDataset`.
        preprocessing: `Preprocessing`.
        augmentation: `tfgates.data.augment.Augmentation`.
        batch_size: global batch size.
        steps_per_epoch: batches of an epoch.
        seed: integer.
        first_epoch, epochs: the range of the epochs.
        share: `tf.distribute.InputContext`; the shares of all workers are together the batch that
            one process would see, cut into a piece for each replica.

    Returns:
        `tf.data.Dataset` of raw pixels, uint8 [B, H, W, 3], and int64 labels [B]. Mixed images
        are float32, and their labels shares of the classes, float32 [B, K].
    """
    workers, worker = share.num_input_pipelines, share.input_pipeline_id
    of_a_replica = share.get_per_replica_batch_size(batch_size)

    def one_epoch(epoch):
        key = tf.random.experimental.stateless_fold_in(tf.constant([seed, 0], tf.int64), epoch)

        def example(index, record):
            image_bytes, label = record
            image_key = tf.random.experimental.stateless_fold_in(key, index)
            return augmentation(image_bytes, preprocessing, image_key), label

        def mixed(index, batch):
            images, labels = batch
            batch_key = tf.random.experimental.stateless_fold_in(key, -1 - index)
            return augmentation.mixed(images, tf.one_hot(labels, len(dataset.labels)), batch_key)

        # The first number of a folded key depends on the key alone, so it is folded once more.
        order = tf.random.experimental.stateless_fold_in(key, tf.constant(0, tf.int64))[0]
        # Of this function's graph only: `shuffle` fails on a tensor where the global seed is 0.
        tf.random.set_seed(1)
        records = dataset.records("train", order).repeat().take(steps_per_epoch * batch_size)
        examples = records.enumerate()
        if augmentation.mix == "none":
            examples = examples.shard(workers, worker).map(example, tf.data.AUTOTUNE)
        else:
            # Images are mixed within the whole batch, so every worker makes all of it.
            whole = examples.map(example, tf.data.AUTOTUNE).batch(batch_size).enumerate()
            whole = whole.map(mixed, tf.data.AUTOTUNE)
            if (workers, of_a_replica) == (1, batch_size):
                return whole
            examples = whole.unbatch().shard(workers, worker)
        return examples.batch(of_a_replica, drop_remainder=True)

    return tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch).prefetch(2)


def calibration_batches(dataset, preprocessing, count, batch_size=256):
    """Returns training images without augmentation, fitted as in evaluation.

    Args:
        dataset: `ImageDataset` or `FolderDataset`.
        preprocessing: `Preprocessing`.
        count: number of images, the first ones in the order of seed 0.
        batch_size: images of a batch.

    Returns:
        `tf.data.Dataset` of raw pixels, float32 [B, H, W, 3].
    """
    records = dataset.records("train", order=0).take(count)
    images = records.map(lambda image_bytes, _: preprocessing(image_bytes), tf.data.AUTOTUNE)
    return images.batch(batch_size).prefetch(2)


def evaluation_batches(dataset, split, preprocessing, batch_size, one_hot=False, share=WHOLE):
    """Returns every image of a split once, in batches of one size.

    The last batch is filled up with images of weight 0, so that each replica gets a share of it.

    Args:
        dataset: `ImageDataset` or `FolderDataset`.
        split: "train", "validation" or "test".
        preprocessing: `Preprocessing`.
        batch_size: images of a batch; rounded up to a multiple of the replicas.
        one_hot: whether labels are float32 [B, K], as those of mixed images.
        share: `tf.distribute.InputContext`, as in `training_batches`.

    Returns:
        `tf.data.Dataset` of raw pixels, float32 [B, H, W, 3], int64 labels [B] and float32 weights
        [B].
    """
    workers, worker = share.num_input_pipelines, share.input_pipeline_id
    of_a_replica = math.ceil(batch_size / share.num_replicas_in_sync)
    whole = of_a_replica * share.num_replicas_in_sync
    images = math.ceil(dataset.size(split) / whole) * whole // workers
    records = dataset.records(split).shard(workers, worker)
    examples = records.map(
        lambda image_bytes, label: (preprocessing(image_bytes), label, 1.0), tf.data.AUTOTUNE
    )
    shape = (preprocessing.size, preprocessing.size, 3)
    filler = tf.data.Dataset.from_tensors((tf.zeros(shape), tf.constant(0, tf.int64), 0.0))
    examples = examples.concatenate(filler.repeat()).take(images)
    if one_hot:
        examples = examples.map(
            lambda image, label, weight: (image, tf.one_hot(label, len(dataset.labels)), weight)
        )
    return examples.batch(of_a_replica, drop_remainder=True).prefetch(2)
