"""Batches for training, a function of seed and epoch, and for evaluation, every image once."""

import math

import tensorflow as tf

SHUFFLE_BUFFER = 16_384
# Which share of each batch is made here: all of it, for one replica in one process.
WHOLE = tf.distribute.InputContext()


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
    share=WHOLE,
):
    """Returns the batches of the epochs `first_epoch` to `epochs` - 1, one after the other.

    The order and the augmentation of an epoch are functions of the seed and the number of the
    epoch, so that a resumed run sees the batches that the interrupted one would have seen.

    Args:
        dataset: `ImageDataset`.
        preprocessing: `Preprocessing`.
        augment: function of an image and a seed [2], see `tfgates.data.augment`.
        batch_size: global batch size.
        steps_per_epoch: batches of an epoch.
        seed: integer.
        first_epoch, epochs: the range of the epochs.
        share: `tf.distribute.InputContext`; the shares of all workers are together the batch that
            one process would see, cut into a piece for each replica.

    Returns:
        `tf.data.Dataset` of float32 images [B, H, W, 3] and int64 labels [B].
    """
    records = dataset.records("train")

    def one_epoch(epoch):
        key = tf.random.experimental.stateless_fold_in(tf.constant([seed, 0], tf.int64), epoch)

        def example(index, record):
            image_bytes, label = record
            image_key = tf.random.experimental.stateless_fold_in(key, index)
            return augment(preprocessing(image_bytes), image_key), label

        # The first number of a folded key depends on the key alone, so it is folded once more.
        order = tf.random.experimental.stateless_fold_in(key, tf.constant(0, tf.int64))[0]
        # Of this function's graph only: `shuffle` fails on a tensor where the global seed is 0.
        tf.random.set_seed(1)
        shuffled = records.shuffle(SHUFFLE_BUFFER, seed=order, reshuffle_each_iteration=False)
        examples = shuffled.repeat().take(steps_per_epoch * batch_size).enumerate()
        examples = examples.shard(share.num_input_pipelines, share.input_pipeline_id)
        return examples.map(example, tf.data.AUTOTUNE).batch(
            share.get_per_replica_batch_size(batch_size), drop_remainder=True
        )

    return tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch).prefetch(2)


def evaluation_batches(dataset, split, preprocessing, batch_size, share=WHOLE):
    """Returns every image of a split once, in batches of one size.

    The last batch is filled up with images of weight 0, so that each replica gets a share of it.

    Args:
        dataset: `ImageDataset`.
        split: "train", "validation" or "test".
        preprocessing: `Preprocessing`.
        batch_size: images of a batch; rounded up to a multiple of the replicas.
        share: `tf.distribute.InputContext`, as in `training_batches`.

    Returns:
        `tf.data.Dataset` of float32 images [B, H, W, 3], int64 labels [B] and float32 weights [B].
    """
    workers, worker = share.num_input_pipelines, share.input_pipeline_id
    of_a_replica = math.ceil(batch_size / share.num_replicas_in_sync)
    batches = math.ceil(dataset.size(split) / (of_a_replica * share.num_replicas_in_sync))
    images = batches * of_a_replica * share.num_replicas_in_sync // workers
    examples = (
        dataset.records(split)
        .shard(workers, worker)
        .map(lambda image_bytes, label: (preprocessing(image_bytes), label, 1.0), tf.data.AUTOTUNE)
    )
    shape = (preprocessing.size, preprocessing.size, 3)
    filler = tf.data.Dataset.from_tensors((tf.zeros(shape), tf.constant(0, tf.int64), 0.0))
    examples = examples.concatenate(filler.repeat()).take(images)
    return examples.batch(of_a_replica, drop_remainder=True).prefetch(2)
