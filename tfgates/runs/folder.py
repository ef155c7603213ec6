"""A run folder: what a training run leaves behind, and how tools read it."""

import dataclasses
import fcntl
import json
import pathlib

import keras
import numpy as np

from tfgates.base.errors import UserError
from tfgates.base.files import put_in_place, write_json
from tfgates.data.preprocess import Preprocessing
from tfgates.training import checkpoint
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
        tensorboard: folder of the same for TensorBoard, and of what it compares runs by.
        checkpoints: folder of weights, optimizer and noise after the last finished epoch.
        trained: the `GatedClassifier` after the last epoch, until `model` is made of it.
        model: the finished `GatedClassifier`.
        metrics: JSON: a row for each policy.
        card: Markdown: what the model is, for people.
        tau_table, tau_picture: errors and multiply-adds over the threshold, CSV and PNG.
        budget_table, budget_picture: the candidates of a choice within a budget, CSV and PNG.
        report: HTML: the page of the run; its pictures are in the folder of its name.
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
        self.trained = self.path / "trained.keras"
        self.model = self.path / "model.keras"
        self.metrics = self.path / "metrics.json"
        self.card = self.path / "model_card.md"
        self.tau_table = self.path / "tau.csv"
        self.tau_picture = self.path / "tau.png"
        self.budget_table = self.path / "budget.csv"
        self.budget_picture = self.path / "budget.png"
        self.report = self.path / "report.html"
        self.export = self.path / "export"

    def lock(self):
        """Makes the folder, and keeps other processes from training in it until this one ends.

        Raises:
            UserError: it cannot be made, or another process trains in it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / ".lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"Another process trains in {self.path}. Wait for it, or choose another "
                "--output_dir."
            ) from error
        except OSError as error:
            raise UserError(
                f"--output_dir={self.path} cannot be used as a run folder: {error}. Choose another."
            ) from error

    def write_data(self, dataset, preprocessing, statistics):
        """Writes what the run is trained on.

        Args:
            dataset: `ImageDataset` or `FolderDataset`.
            preprocessing: `Preprocessing`.
            statistics: mean and std of each channel, with which the network standardizes.
        """
        mean, std = statistics
        write_json(self.data, {**_description(dataset, preprocessing), "mean": mean, "std": std})

    def require_same_data(self, dataset, preprocessing):
        """Refuses another data set than the one of `write_data`.

        Raises:
            UserError: classes, images or preprocessing differ, or there is no run.
        """
        self.load_data()
        before = json.loads(self.data.read_text())
        for key, value in _description(dataset, preprocessing).items():
            # As JSON knows it: a tuple is a list there.
            value = json.loads(json.dumps(value))
            if before.get(key) != value:
                raise UserError(
                    f"{dataset.name} is no longer the data set that {self.path} was trained on: "
                    f"{key} was {before.get(key)} and is {value}. Restore it, or choose another "
                    "--output_dir."
                )

    def save_classifier(self, classifier, path):
        """Saves a `GatedClassifier` under a temporary name and renames it to `path`."""
        unfinished = self.path / "unfinished.keras"
        classifier.save(unfinished)
        put_in_place(unfinished, path)

    def load_classifier(self, path=None):
        """Loads a `GatedClassifier`, by default the finished one.

        Raises:
            UserError: there is no finished run, or it cannot be read.
        """
        path = path or self.model
        try:
            classifier = keras.saving.load_model(path)
        except Exception as error:
            raise self._unreadable(path, error) from error
        if not isinstance(classifier, GatedClassifier):
            raise self._unreadable(path, f"it holds a {type(classifier).__name__}")
        return classifier

    def require_model(self):
        """Refuses a folder without a finished model.

        Raises:
            UserError: `model` is missing.
        """
        if not self.model.exists():
            raise self._unreadable(self.model, "it is missing")

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

    def load_flags(self):
        """Loads the flags of the training, texts by name; those of a lost file are missing.

        Raises:
            UserError: the file cannot be read.
        """
        if not self.flags.exists():
            return {}
        try:
            lines = self.flags.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable(self.flags, error) from error
        return dict(line[2:].split("=", 1) for line in lines if "=" in line)

    def warn_if_unfinished(self):
        """Prints a line where training went on after `model` was made, and has not ended."""
        finished = max(checkpoint.files(self.checkpoints), default=0)
        wanted = self.load_flags().get("epochs", "")
        if finished and wanted.isdecimal() and finished < int(wanted):
            print(
                f"Note: {self.model} is older than the training, which stands at epoch {finished} "
                f"of {wanted}. python train.py --flagfile={self.flags} finishes it.",
                flush=True,
            )

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


def _description(dataset, preprocessing):
    return {
        "dataset": dataset.name,
        "splits": dataset.splits,
        "fingerprint": dataset.fingerprint,
        "labels": dataset.labels,
        "preprocessing": dataclasses.asdict(preprocessing),
    }
