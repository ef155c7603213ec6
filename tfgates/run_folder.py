"""A run folder: what a training run leaves behind, and how tools read it."""

import dataclasses
import json
import pathlib

import keras
import numpy as np

from tfgates.data.preprocess import Preprocessing
from tfgates.errors import UserError
from tfgates.training.classifier import GatedClassifier


class RunFolder:
    """The paths of a run folder, and what they hold.

    Args:
        path: of the folder, runs/NAME.

    Attributes:
        flags: flag file that repeats the run.
        data: JSON: data set, labels and preprocessing.
        log: CSV, a row for each epoch: loss, accuracy, target rate, rate, and of each gate.
        rates: CSV, a row for every few steps: the rate of each gate.
        picture: PNG: the rate of each gate over the training steps.
        tensorboard: folder of the same for TensorBoard.
        checkpoints: folder of weights, optimizer and noise after the last finished epoch.
        model: the trained `GatedClassifier`.
        metrics: JSON: a row for each policy.
        tau_table, tau_picture: errors and multiply-adds over the threshold, CSV and PNG.
        export: folder of the exported versions.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.flags = self.path / "flags.cfg"
        self.data = self.path / "data.json"
        self.log = self.path / "log.csv"
        self.rates = self.path / "rates.csv"
        self.picture = self.path / "rates.png"
        self.tensorboard = self.path / "tb"
        self.checkpoints = self.path / "checkpoints"
        self.model = self.path / "model.keras"
        self.metrics = self.path / "metrics.json"
        self.tau_table = self.path / "tau.csv"
        self.tau_picture = self.path / "tau.png"
        self.export = self.path / "export"

    def write_data(self, dataset, preprocessing, statistics):
        """Writes the name, labels and splits of a data set, its `Preprocessing` and statistics.

        Args:
            dataset: `ImageDataset` or `FolderDataset`.
            preprocessing: `Preprocessing`.
            statistics: mean and std of each channel, with which the network standardizes.
        """
        write_json(
            self.data,
            {
                "dataset": dataset.name,
                "splits": dataset.splits,
                "labels": dataset.labels,
                "preprocessing": dataclasses.asdict(preprocessing),
                "mean": statistics[0],
                "std": statistics[1],
            },
        )

    def save_classifier(self, classifier):
        """Saves the trained `GatedClassifier` under a temporary name and renames it."""
        unfinished = self.path / "unfinished.keras"
        classifier.save(unfinished)
        unfinished.replace(self.model)

    def load_classifier(self):
        """Loads the trained `GatedClassifier`.

        Raises:
            UserError: there is no finished run, or it cannot be read.
        """
        try:
            classifier = keras.saving.load_model(self.model)
        except Exception as error:
            raise self._unreadable(self.model, error) from error
        if not isinstance(classifier, GatedClassifier):
            raise self._unreadable(self.model, f"it holds a {type(classifier).__name__}")
        return classifier

    def load_data(self):
        """Loads what `write_data` wrote: data set name, labels, `Preprocessing`.

        Raises:
            UserError: there is no run, or it cannot be read.
        """
        try:
            data = json.loads(self.data.read_text())
            labels, preprocessing = data["labels"], Preprocessing(**data["preprocessing"])
            if not isinstance(labels, list) or not all(isinstance(x, str) for x in labels):
                raise ValueError("labels are a list of texts")
            for name in ("mean", "std"):
                if np.shape(data[name]) != (3,) or not np.isfinite(data[name]).all():
                    raise ValueError(f"{name} has three finite numbers")
            return data["dataset"], labels, preprocessing
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._unreadable(self.data, error) from error

    def load_statistics(self):
        """Loads the mean and std with which the network standardizes; see `load_data`."""
        self.load_data()
        data = json.loads(self.data.read_text())
        return tuple(data["mean"]), tuple(data["std"])

    def load_splits(self):
        """Loads what played "train", "validation" and "test" in training; see `load_data`."""
        self.load_data()
        return json.loads(self.data.read_text())["splits"]

    def load_flags(self):
        """Loads the flags of the training, texts by name; those of a lost file are missing."""
        if not self.flags.exists():
            return {}
        lines = self.flags.read_text().splitlines()
        return dict(line[2:].split("=", 1) for line in lines if "=" in line)

    def _unreadable(self, path, error):
        if not path.exists():
            command = f"--output_dir={self.path}"
            if self.flags.exists():
                command = f"--flagfile={self.flags}"
            return UserError(
                f"{self.path} holds no finished run: {path.name} is missing. Train it with "
                f"python train.py {command}, or name another folder."
            )
        return UserError(
            f"{path} cannot be read: {str(error)[:200]}. Train the run again, or name another "
            "folder."
        )


def write_json(path, content):
    """Writes JSON under a temporary name and renames it, so that no half file is ever seen."""
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(content, indent=2) + "\n")
    unfinished.replace(path)
