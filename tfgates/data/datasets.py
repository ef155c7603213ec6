"""Image classification sets of tensorflow-datasets: opening, splits, records."""

import contextlib
import dataclasses
import re

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from tfgates.base.errors import UserError
from tfgates.data.folder import open_folder
from tfgates.data.labels import require_lines
from tfgates.data.prepare import find, prepare
from tfgates.data.splits import roles

LABELS_SAMPLE = 100
LISTED = 10
# A larger split, of which every record would be read, lacks no class by chance.
LOOKED_AT = 20_000
FOLDER = "folder:"
# In each epoch the files come in another order, and images of so many of them are mixed.
OPEN_FILES = 16
SHUFFLE_BUFFER = 16_384


@dataclasses.dataclass(frozen=True)
class ImageDataset:
    """An image classification set that is ready on disk.

    Attributes:
        name: name and version, as "cifar10:3.0.2".
        labels: names of the classes, in the order of their ids.
        splits: for "train", "validation" and "test" the tensorflow-datasets split that plays it.
        in_order: whether the set was stored without being shuffled.
    """

    name: str
    labels: tuple[str, ...]
    splits: dict[str, str]
    in_order: bool
    _builder: tfds.core.DatasetBuilder
    _keys: tuple[str, str]

    def size(self, split):
        """Returns the number of images of "train", "validation" or "test"."""
        return self._builder.info.splits[self.splits[split]].num_examples

    def records(self, split, order=None):
        """Returns a `tf.data.Dataset` of (encoded image, string scalar; label, int64 scalar).

        Args:
            split: "train", "validation" or "test".
            order: int64 scalar that seeds the order of the images; None keeps the stored order.
        """
        image, label = self._keys
        decoders = {image: tfds.decode.SkipDecoding()}
        if order is None:
            records = self._builder.as_dataset(
                split=self.splits[split],
                decoders=decoders,
                read_config=tfds.ReadConfig(try_autocache=False),
            )
        else:
            features = self._builder.info.features
            records = self._shuffled(self._builder.info.splits[self.splits[split]], order).map(
                lambda text: features.deserialize_example(text, decoders=decoders),
                tf.data.AUTOTUNE,
            )
        return records.map(lambda record: (record[image], record[label]))

    @property
    def fingerprint(self):
        """Text that changes with the set: its version stands for the images."""
        return ", ".join(f"{self.size(split)} {split}" for split in self.splits)

    def present(self, split):
        """Returns the classes, ids, that have images in a split; all of them in a large one."""
        if self.size(split) > LOOKED_AT:
            return set(range(len(self.labels)))
        labels = self.records(split).map(lambda _, label: label).batch(1000)
        return {int(label) for batch in labels for label in batch.numpy()}

    def unreadable(self):
        """Returns nothing: tensorflow-datasets has read every image."""
        return []

    @staticmethod
    def _shuffled(split, order):
        """Reads serialised records, the files in a new order, and those of many files mixed."""
        parts = split.file_instructions
        files = tf.data.Dataset.from_tensor_slices(
            (
                [part.filename for part in parts],
                np.array([(part.skip, part.take) for part in parts], "int64"),
            )
        ).shuffle(len(parts), seed=order, reshuffle_each_iteration=False)
        records = files.interleave(
            lambda path, part: tf.data.TFRecordDataset(path).skip(part[0]).take(part[1]),
            cycle_length=OPEN_FILES,
            block_length=16,
            num_parallel_calls=OPEN_FILES,
            deterministic=True,
        )
        return records.shuffle(SHUFFLE_BUFFER, seed=order, reshuffle_each_iteration=False)


def open_dataset(name, data_dir=None, recorded=None):
    """Opens an image classification set, and downloads and prepares it first where it must.

    Args:
        name: of a set of tensorflow-datasets; "fashion_mnist_13k", which ships with tfgates; or
            "folder:PATH", see `tfgates.data.folder`.
        data_dir: folder of the prepared sets; None takes that of tensorflow-datasets.
        recorded: of a folder, splits in words, of a run whose cut is kept.

    Returns:
        `ImageDataset` or `FolderDataset`. Where the set lacks a validation or a test split, they
        are found as `tfgates.data.splits` says.

    Raises:
        UserError: unknown name, failed download, or not a set of images with one label each.
    """
    if name.startswith(FOLDER):
        return open_folder(name.removeprefix(FOLDER), recorded)
    builder = find(name, data_dir)
    keys = _image_and_label(name, builder.info)
    prepare(builder)
    config = f"/{builder.builder_config.name}" if builder.builder_config else ""
    dataset = ImageDataset(
        name=f"{builder.name}{config}:{builder.version}",
        labels=tuple(builder.info.features[keys[1]].names),
        splits=roles(name, _labelled(builder, keys)),
        in_order=bool(builder.info.disable_shuffling),
        _builder=builder,
        _keys=keys,
    )
    _check(name, dataset)
    return dataset


@contextlib.contextmanager
def readable(dataset):
    """Turns a damaged file, met while the block reads a data set, into a `UserError`."""
    with _whole(dataset.name):
        try:
            yield
        except tf.errors.InvalidArgumentError:
            require_images(dataset)
            raise


def require_images(dataset):
    """Decodes every picture of a folder, and refuses those that are no images.

    Raises:
        UserError: some are; it names ten of them.
    """
    broken = dataset.unreadable()
    if broken:
        raise UserError(
            f"--dataset={dataset.name} holds {len(broken)} files that are no images: "
            f"{', '.join(broken[:LISTED])}{', ...' * (len(broken) > LISTED)}. Remove them, or save "
            "them again as JPEG or PNG."
        )


@contextlib.contextmanager
def _whole(name):
    try:
        yield
    except (
        tf.errors.DataLossError,
        tf.errors.NotFoundError,
        tf.errors.PermissionDeniedError,
    ) as error:
        reason = re.sub(r"^\{\{.*?\}\} *", "", str(error))[:300]
        way_out = "Put the file back, or make it readable"
        if not name.startswith(FOLDER):
            way_out = "Remove its folder, and the next run prepares it again"
        raise UserError(f"--dataset={name} cannot be read: {reason}. {way_out}.") from error


def _image_and_label(name, info):
    features = dict(info.features)
    pair = info.supervised_keys
    if pair and len(pair) == 2 and all(key in features for key in pair):
        image, label = (features[key] for key in pair)
        if isinstance(image, tfds.features.Image) and isinstance(label, tfds.features.ClassLabel):
            return pair
    found = []
    for kind in (tfds.features.Image, tfds.features.ClassLabel):
        keys = [key for key, feature in features.items() if isinstance(feature, kind)]
        if len(keys) != 1:
            raise UserError(
                f"--dataset={name} is no image classification set: it has {len(keys)} features of "
                f"the kind {kind.__name__}, and needs exactly one. Choose another set."
            )
        found += keys
    return tuple(found)


def _labelled(builder, keys):
    """Returns the number of images of each split that has labels; a test split may have none."""
    sizes = {}
    for split, info in builder.info.splits.items():
        records = builder.as_dataset(
            split=split,
            decoders={keys[0]: tfds.decode.SkipDecoding()},
            # One record is taken: TensorFlow would warn of a cache that is not filled.
            read_config=tfds.ReadConfig(try_autocache=False),
        )
        with _whole(f"{builder.name}:{builder.version}"):
            if all(int(record[keys[1]]) >= 0 for record in records.take(1)):
                sizes[split] = info.num_examples
    return sizes


def _check(name, dataset):
    """Refuses a set of less than two classes, an empty, unlabelled or one-class split."""
    require_lines(name, dataset.labels)
    if len(dataset.labels) < 2:
        raise UserError(f"--dataset={name} has less than two classes. Choose another set.")
    for split, part in dataset.splits.items():
        try:
            with readable(dataset):
                labels = [int(label) for _, label in dataset.records(split).take(LABELS_SAMPLE)]
        except ValueError:
            # tensorflow-datasets refuses a tenth that is less than one image.
            labels = []
        if not labels or min(labels) < 0:
            problem = "unlabelled" if labels else "no"
            raise UserError(
                f"--dataset={name} has {problem} images in {part}, which plays the {split} split. "
                "Choose another set."
            )
        one_class = len(labels) == LABELS_SAMPLE and len(set(labels)) == 1
        if "[" in part and dataset.in_order and one_class:
            raise UserError(
                f"--dataset={name} is stored class by class, so that {part} lacks classes. Store "
                "it without disable_shuffling, or with train, validation and test splits."
            )
