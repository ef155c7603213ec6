"""Image classification sets of tensorflow-datasets: opening, splits, records."""

import contextlib
import dataclasses
import logging
import pathlib

import tensorflow as tf
import tensorflow_datasets as tfds

from tfgates.errors import UserError

# The sets that ship with the repository are found by their name, like those of tensorflow-datasets.
SHIPPED = pathlib.Path(__file__).parents[2] / "datasets"
LABELS_SAMPLE = 100


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
    builder = _builder(name, data_dir)
    keys = _image_and_label(name, builder.info)
    _prepare(builder)
    dataset = ImageDataset(
        name=f"{builder.name}:{builder.version}",
        labels=tuple(builder.info.features[keys[1]].names),
        splits=_roles(name, builder.info.splits),
        in_order=bool(builder.info.disable_shuffling),
        _builder=builder,
        _keys=keys,
    )
    _check(name, dataset)
    return dataset


@contextlib.contextmanager
def readable(dataset):
    """Turns a damaged file, met while the block reads a data set, into a `UserError`."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        raise UserError(
            f"--dataset={dataset.name} cannot be read: {str(error)[:200]}. Remove its folder, "
            "and the next run prepares it again."
        ) from error


def _builder(name, data_dir):
    reasons = []
    for folder in (data_dir or None, SHIPPED):
        try:
            return tfds.builder(name, data_dir=folder)
        # A wrong version is an AssertionError, a missing library an ImportError.
        except Exception as error:
            reasons.append(f"{type(error).__name__}: {error}".splitlines()[0])
    raise UserError(
        f"--dataset names a set of tensorflow-datasets or fashion_mnist_13k. Received: {name} "
        f"({reasons[0]}). The names are listed at "
        "https://www.tensorflow.org/datasets/catalog/overview; --data_dir is the folder of a set "
        "of your own."
    )


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


def _prepare(builder):
    if builder.is_prepared():
        return
    print(f"Preparing {builder.name} in {builder.data_path} ...", flush=True)
    # Without a network its retries, of which each is a warning, take minutes.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        builder.download_and_prepare()
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"--dataset={builder.name} is not in {builder.data_path} and could not be prepared "
            f"there: {reason[:200]} Check the network, or point --data_dir at a prepared copy."
        ) from error


def _roles(name, available):
    if "train" not in available:
        raise UserError(
            f"--dataset={name} has no training split, only {', '.join(sorted(available))}. "
            "Choose another set."
        )
    if "test" in available and "validation" in available:
        return {"train": "train", "validation": "validation", "test": "test"}
    for test in ("test", "validation"):
        if test in available:
            return {"train": "train[:90%]", "validation": "train[90%:]", "test": test}
    return {"train": "train[:80%]", "validation": "train[80%:90%]", "test": "train[90%:]"}


def _check(name, dataset):
    """Refuses a set of less than two classes, an empty, unlabelled or one-class split."""
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
        if "%" in part and dataset.in_order and one_class:
            raise UserError(
                f"--dataset={name} is stored class by class, so that {part} lacks classes. Store "
                "it without disable_shuffling, or with train, validation and test splits."
            )
