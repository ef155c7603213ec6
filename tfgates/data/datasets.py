"""Image classification sets of tensorflow-datasets as batches of (images, labels)."""

import dataclasses
import pathlib

import tensorflow as tf
import tensorflow_datasets as tfds

from tfgates.errors import UserError

# The sets that ship with the repository are found by their name, like those of tensorflow-datasets.
SHIPPED = pathlib.Path(__file__).parents[2] / "datasets"
SHUFFLE_BUFFER = 16_384


@dataclasses.dataclass(frozen=True)
class ImageDataset:
    """An image classification set that is ready on disk.

    Attributes:
        name: name and version, as "cifar10:3.0.2".
        labels: names of the classes, in the order of their ids.
        splits: for "train", "validation" and "test" the tensorflow-datasets split that plays it.
    """

    name: str
    labels: tuple[str, ...]
    splits: dict[str, str]
    _builder: tfds.core.DatasetBuilder
    _keys: tuple[str, str]

    def size(self, split):
        """Returns the number of images of "train", "validation" or "test"."""
        return self._builder.info.splits[self.splits[split]].num_examples

    def records(self, split):
        """Returns a `tf.data.Dataset` of (encoded image, string scalar; label, int64 scalar)."""
        image, label = self._keys
        records = self._builder.as_dataset(
            split=self.splits[split],
            decoders={image: tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(try_autocache=False),
        )
        return records.map(lambda record: (record[image], record[label]))


def open_dataset(name, data_dir=None):
    """Opens an image classification set, and downloads and prepares it first where it must.

    Args:
        name: of a set of tensorflow-datasets, or "fashion_mnist_13k", which ships with tfgates.
        data_dir: folder of the prepared sets; None takes that of tensorflow-datasets.

    Returns:
        `ImageDataset`. Where the set lacks a validation split, the last tenth of the training split
        plays it; where it lacks a test split, the validation split does, or another tenth.

    Raises:
        UserError: unknown name, failed download, or not a set of images with one label each.
    """
    tfds.core.add_data_dir(str(SHIPPED))
    try:
        builder = tfds.builder(name, data_dir=data_dir or None)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        raise UserError(
            f"--dataset names a set of tensorflow-datasets or fashion_mnist_13k. Received: {name}. "
            "The names are listed at https://www.tensorflow.org/datasets/catalog/overview."
        ) from error
    keys = _image_and_label(name, builder.info.features)
    _prepare(builder)
    return ImageDataset(
        name=f"{builder.name}:{builder.version}",
        labels=tuple(builder.info.features[keys[1]].names),
        splits=_roles(builder.info.splits),
        _builder=builder,
        _keys=keys,
    )


def _image_and_label(name, features):
    found = []
    for kind in (tfds.features.Image, tfds.features.ClassLabel):
        keys = [key for key, feature in dict(features).items() if isinstance(feature, kind)]
        if len(keys) != 1:
            raise UserError(
                f"--dataset={name} is no image classification set: it has {len(keys)} features of "
                f"the kind {kind.__name__}, and needs exactly one. Choose another set."
            )
        found += keys
    return tuple(found)


def _prepare(builder):
    if builder.is_prepared():
        return
    try:
        builder.download_and_prepare()
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"--dataset={builder.name} is not in {builder.data_path} and could not be prepared "
            f"there: {reason[:200]} Check the network, or point --data_dir at a prepared copy."
        ) from error


def _roles(available):
    if "test" in available and "validation" in available:
        return {"train": "train", "validation": "validation", "test": "test"}
    for test in ("test", "validation"):
        if test in available:
            return {"train": "train[:90%]", "validation": "train[90%:]", "test": test}
    return {"train": "train[:80%]", "validation": "train[80%:90%]", "test": "train[90%:]"}


def training_batches(
    dataset, preprocessing, augment, *, batch_size, steps_per_epoch, seed, first_epoch, epochs
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

        # Of this function's graph only: `shuffle` fails on a tensor where the global seed is 0.
        tf.random.set_seed(1)
        shuffled = records.shuffle(SHUFFLE_BUFFER, seed=key[0], reshuffle_each_iteration=False)
        examples = shuffled.repeat().take(steps_per_epoch * batch_size).enumerate()
        return examples.map(example, tf.data.AUTOTUNE).batch(batch_size, drop_remainder=True)

    return tf.data.Dataset.range(first_epoch, epochs).flat_map(one_epoch).prefetch(2)


def evaluation_batches(dataset, split, preprocessing, batch_size):
    """Returns every image of a split once, in batches of one size.

    The last batch is filled up with images of weight 0, so that each replica gets a share of it.

    Args:
        dataset: `ImageDataset`.
        split: "train", "validation" or "test".
        preprocessing: `Preprocessing`.
        batch_size: images of a batch.

    Returns:
        `tf.data.Dataset` of float32 images [B, H, W, 3], int64 labels [B] and float32 weights [B].
    """
    examples = dataset.records(split).map(
        lambda image_bytes, label: (preprocessing(image_bytes), label, 1.0), tf.data.AUTOTUNE
    )
    shape = (preprocessing.size, preprocessing.size, 3)
    filler = tf.data.Dataset.from_tensors((tf.zeros(shape), tf.constant(0, tf.int64), 0.0))
    examples = examples.concatenate(filler.repeat(-dataset.size(split) % batch_size))
    return examples.batch(batch_size, drop_remainder=True).prefetch(2)
