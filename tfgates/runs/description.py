"""data.json: what a run is trained on, written once and read with care."""

import dataclasses
import json

import numpy as np

from tfgates.base.errors import UserError
from tfgates.base.files import write_json
from tfgates.base.reading import read_file
from tfgates.data.preprocess import Preprocessing

WAY_OUT = "Restore it, train the run again, or name another folder."


def write(path, dataset, preprocessing, statistics):
    """Writes what a run is trained on, see `tfgates.runs.folder.RunFolder.write_data`."""
    mean, std = statistics
    write_json(path, {**_description(dataset, preprocessing), "mean": mean, "std": std})


def read(path):
    """Reads what `write` has written, as a dict; None where there is no file.

    Raises:
        UserError: it is damaged.
    """
    return read_file(path, _read, WAY_OUT)


def require_same(path, dataset, preprocessing):
    """Refuses another data set than the one of `write`.

    Raises:
        UserError: classes, images or preprocessing differ.
    """
    before = read(path)
    for key, value in _description(dataset, preprocessing).items():
        # As JSON knows it: a tuple is a list there.
        value = json.loads(json.dumps(value))
        if before.get(key) != value:
            raise UserError(
                f"{dataset.name} is no longer the data set that {path.parent} was trained on: "
                f"{key} was {before.get(key)} and is {value}. Restore it, or choose another "
                "--output_dir."
            )


def require_network(path, size, classes):
    """Refuses a network that was not trained on what the file says.

    Args:
        path: `pathlib.Path` of the file; nothing is refused where it is missing.
        size: of the network's images in pixels; None: any.
        classes: number of those that the network knows.

    Raises:
        UserError: they differ, or the file is damaged.
    """
    data = read(path)
    if data is None:
        return
    found = data["preprocessing"]["size"], len(data["labels"])
    if found != (size or found[0], classes):
        raise UserError(
            f"{path} says {found[0]} pixels and {found[1]} classes, and the model beside it takes "
            f"{size or 'any number of'} pixels and knows {classes} classes. {WAY_OUT}"
        )


def _read(file):
    data = json.load(file)
    Preprocessing(**data["preprocessing"])
    if not isinstance(data["dataset"], str):
        raise ValueError("dataset is a name")
    if not isinstance(data["labels"], list) or not all(isinstance(x, str) for x in data["labels"]):
        raise ValueError("labels are a list of texts")
    splits = data["splits"]
    if not isinstance(splits, dict) or not all(isinstance(x, str) for x in splits.values()):
        raise ValueError("splits are texts by name")
    for name in ("mean", "std"):
        if np.shape(data[name]) != (3,) or not np.isfinite(data[name]).all():
            raise ValueError(f"{name} has three finite numbers")
    return data


def _description(dataset, preprocessing):
    return {
        "dataset": dataset.name,
        "splits": dataset.splits,
        "fingerprint": dataset.fingerprint,
        "labels": dataset.labels,
        "preprocessing": dataclasses.asdict(preprocessing),
    }
