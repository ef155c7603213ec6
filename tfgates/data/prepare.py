"""Sets of tensorflow-datasets: found by name, downloaded and prepared where they must be."""

import logging
import pathlib

import tensorflow_datasets as tfds

from tfgates.base.errors import UserError
from tfgates.base.shipped import SHIPPED

IMAGENET_TARS = ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")


def find(name, data_dir):
    """Finds a set of tensorflow-datasets, or one that ships with tfgates, by its name.

    Args:
        name: of the set.
        data_dir: folder of the prepared sets; None or empty takes that of tensorflow-datasets.

    Returns:
        `tfds.core.DatasetBuilder`.

    Raises:
        UserError: an unknown name.
    """
    reasons = []
    for folder in (data_dir or None, SHIPPED / "datasets"):
        try:
            return tfds.builder(name, data_dir=folder)
        # A wrong version is an AssertionError, a missing library an ImportError.
        except Exception as error:
            reasons.append(f"{type(error).__name__}: {error}".splitlines()[0])
    raise UserError(
        "--dataset names a set of tensorflow-datasets, fashion_mnist_13k, or folder:PATH. "
        f"Received: {name} ({reasons[0]}). The names are listed at "
        "https://www.tensorflow.org/datasets/catalog/overview; --data_dir is the folder of a set "
        "of your own."
    )


def prepare(builder):
    """Downloads a set and writes its records, where that was not done yet.

    Args:
        builder: `tfds.core.DatasetBuilder`.

    Raises:
        UserError: it cannot be downloaded, or a file that is placed by hand is missing.
    """
    if builder.is_prepared():
        return
    _require_tars(builder)
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


def _require_tars(builder):
    """Refuses ImageNet without its files: with one of two, tensorflow-datasets drops a split."""
    if builder.name != "imagenet2012":
        return
    folder = pathlib.Path(builder.data_path).parents[1] / "downloads" / "manual"
    missing = [name for name in IMAGENET_TARS if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"--dataset=imagenet2012 is made of {' and '.join(IMAGENET_TARS)} in {folder}. "
            f"Missing: {', '.join(missing)}. Download them from https://image-net.org and put them "
            "there; --data_dir moves the folder."
        )
