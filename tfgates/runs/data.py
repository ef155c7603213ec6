"""The images of a run: its data set, opened again, and their batches."""

import numpy as np

from tfgates.base.errors import UserError
from tfgates.data import batches, datasets
from tfgates.data.augment import Augmentation
from tfgates.runs import description
from tfgates.runs.folder import RunFolder
from tfgates.settings.network import split as kind_and_value
from tfgates.training import checkpoint

# Every number of replicas up to 8 divides it, or leaves each of them a share.
EVALUATION_BATCH = 256


def open_data(run, data_dir=None):
    """Opens the data set of a run.

    Args:
        run: `RunFolder`.
        data_dir: where data sets have moved to; None is where they were.

    Returns:
        `ImageDataset` or `FolderDataset`.

    Raises:
        UserError: it is not there, or no longer the same.
    """
    name, _, preprocessing = run.load_data()
    dataset = datasets.open_dataset(
        name,
        run.load_flags().get("data_dir") if data_dir is None else data_dir,
        run.read_data()["splits"],
    )
    run.require_same_data(dataset, preprocessing)
    return dataset


def recorded_splits(settings):
    """Returns the splits, in words, of the run that goes on, or of one that this one grows out of.

    What a network was trained on is not what it is validated on afterwards.
    """
    own = RunFolder(settings.output_dir)
    others = (
        settings.init_from,
        *(kind_and_value(name)[1] for name in (settings.network, settings.teacher)),
    )
    runs = [own] if checkpoint.files(own.checkpoints) else []
    for run in (*runs, *(RunFolder(path) for path in others if path)):
        data = description.read(run.data)
        if data and data["dataset"] == settings.dataset:
            return data["splits"]
    return None


def common_data(runs, data_dir=None):
    """Opens the data set of all runs.

    Args:
        runs: list of `RunFolder`.
        data_dir: as of `open_data`.

    Raises:
        UserError: two runs have different ones.
    """
    first, *others = (open_data(run, data_dir) for run in runs)
    for run, other in zip(runs[1:], others, strict=True):
        if any(
            getattr(other, part) != getattr(first, part)
            for part in ("name", "labels", "splits", "fingerprint")
        ):
            raise UserError(
                "Errors on different validation images cannot be compared: "
                f"{runs[0].path} was trained on {first.name} ({first.fingerprint}), {run.path} on "
                f"{other.name} ({other.fingerprint}). Name runs of one data set."
            )
    return first


def training_batches(settings, dataset, preprocessing, **arguments):
    """The augmented batches of some epochs, see `tfgates.data.batches.training_batches`."""
    augmentation = Augmentation(settings.augment, settings.rand_augment, settings.mix)
    return batches.training_batches(
        dataset, preprocessing, augmentation, seed=settings.seed, **arguments
    )


def evaluation_images(dataset, split, preprocessing):
    """Returns the images of a split in batches, see `tfgates.data.batches.evaluation_batches`."""
    batch_size = min(EVALUATION_BATCH, dataset.size(split))
    return batches.evaluation_batches(dataset, split, preprocessing, batch_size)


def validation_images(dataset, preprocessing, count):
    """Returns raw validation images, float32 [count, size, size, 3]; few are repeated.

    They are in the order of seed 0: in the stored one the first may all be of one class.
    """
    with datasets.readable(dataset):
        records = dataset.records("validation", order=0).take(count)
        images = np.stack([preprocessing(image).numpy() for image, _ in records])
    return np.resize(images, (count, *images.shape[1:]))
