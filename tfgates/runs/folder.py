"""A run folder: what a training run leaves behind, and how tools read it."""

import functools
import hashlib
import pathlib
import shlex
import zipfile

import keras

from tfgates.base.code import import_file
from tfgates.base.errors import UserError
from tfgates.base.files import put_in_place
from tfgates.data.preprocess import Preprocessing
from tfgates.network import num_classes
from tfgates.runs import description
from tfgates.settings import flagfile
from tfgates.training import checkpoint
from tfgates.training.classifier import GatedClassifier

OF_AN_OLDER_VERSION = "it was made by tfgates 0.1, whose networks this version does not read"


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
        thresholds_table, thresholds_picture: errors and multiply-adds at thresholds, CSV and PNG.
        gain: JSON: what is gained by looking at the image.
        exits: JSON: what each early exit does on the test images.
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
        self.thresholds_table = self.path / "thresholds.csv"
        self.thresholds_picture = self.path / "thresholds.png"
        self.gain = self.path / "gain.json"
        self.exits = self.path / "exits.json"
        self.budget_table = self.path / "budget.csv"
        self.budget_picture = self.path / "budget.png"
        self.report = self.path / "report.html"
        self.export = self.path / "export"

    def write_data(self, dataset, preprocessing, statistics):
        """Writes what the run is trained on.

        Args:
            dataset: `ImageDataset` or `FolderDataset`.
            preprocessing: `Preprocessing`.
            statistics: mean and std of each channel, with which the network standardizes.
        """
        description.write(self.data, dataset, preprocessing, statistics)

    def require_same_data(self, dataset, preprocessing):
        """Refuses another data set than the one of `write_data`.

        Raises:
            UserError: classes, images or preprocessing differ, or there is no run.
        """
        self.read_data()
        description.require_same(self.data, dataset, preprocessing)

    @functools.cached_property
    def digest(self):
        """The SHA-256 of `model` in hexadecimal digits; what was measured of it carries it.

        It is read once, so that all that is done with this object is done with one model.

        Raises:
            UserError: there is no finished run.
        """
        self.require_model()
        return _sha256(self.model)

    def save_classifier(self, classifier, path):
        """Saves a `GatedClassifier` under a temporary name and renames it to `path`."""
        unfinished = self.path / "unfinished.keras"
        try:
            classifier.save(unfinished)
            put_in_place(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
        if path == self.model:
            vars(self).pop("digest", None)

    def load_classifier(self, path=None):
        """Loads a `GatedClassifier`, by default the finished one.

        Raises:
            UserError: there is no finished run, it cannot be read, is no longer that of `digest`,
                or another than `data` describes.
        """
        path = path or self.model
        import_file(self.load_flags().get("code", ""))
        expected = self.digest if path == self.model else None
        try:
            classifier = keras.saving.load_model(path)
        except Exception as error:
            reason = OF_AN_OLDER_VERSION if _is_of_an_older_version(path) else error
            raise self._unreadable(path, reason) from error
        if not isinstance(classifier, GatedClassifier):
            raise self._unreadable(path, f"it holds a {type(classifier).__name__}")
        if expected and _sha256(path) != expected:
            raise UserError(
                f"{path} has changed since this command began: a training has ended. Start the "
                "same command again."
            )
        size = classifier.network.input_shape[1]
        description.require_network(self.data, size, num_classes(classifier.network))
        return classifier

    def require_model(self):
        """Refuses a folder without a finished model.

        Raises:
            UserError: `model` is missing.
        """
        if not self.model.exists():
            raise self._unreadable(self.model, "it is missing")

    def read_data(self):
        """Reads what `write_data` wrote, as a dict.

        Raises:
            UserError: there is no run, or the file is damaged.
        """
        data = description.read(self.data)
        if data is None:
            raise self._unreadable(self.data, "it is missing")
        return data

    def load_data(self):
        """Loads data set name, labels and `Preprocessing`; see `read_data`."""
        data = self.read_data()
        return data["dataset"], data["labels"], Preprocessing(**data["preprocessing"])

    def load_statistics(self):
        """Loads the mean and std with which the network standardizes; see `read_data`."""
        data = self.read_data()
        return tuple(data["mean"]), tuple(data["std"])

    def load_flags(self):
        """Loads the flags of the training, texts by name; of a lost file there are none.

        One that an older file lacks has its default. Unknown ones are named in a line, once.

        Raises:
            UserError: the file cannot be read.
        """
        if not self.flags.exists():
            return {}
        texts, unknown = flagfile.read(self.flags)
        if unknown:
            _note(f"{self.flags} has lines of unknown flags, left out: {', '.join(unknown)}.")
        return texts

    def warn_if_unfinished(self):
        """Prints a line where training went on after `model` was made, and has not ended."""
        finished = max(checkpoint.files(self.checkpoints), default=0)
        wanted = self.load_flags().get("epochs", "")
        if finished and wanted.isdecimal() and finished < int(wanted):
            command = shlex.join(["python", "train.py", f"--flagfile={self.flags}"])
            print(
                f"Note: {self.model} is older than the training, which stands at epoch {finished} "
                f"of {wanted}. {command} finishes it.",
                flush=True,
            )

    def _unreadable(self, path, error):
        if not path.exists():
            known = self.flags.exists()
            flag = f"--flagfile={self.flags}" if known else f"--output_dir={self.path}"
            return UserError(
                f"{self.path} holds no finished run: {path.name} is missing. Train it with "
                f"{shlex.join(['python', 'train.py', flag])}, or name another folder."
            )
        return UserError(
            f"{path} cannot be read: {str(error)[:200]}. Train the run again, or name another "
            "folder."
        )


def _is_of_an_older_version(path):
    """Whether a model file holds the chain of blocks that a network was in tfgates 0.1."""
    try:
        with zipfile.ZipFile(path) as archive:
            return b"GatedNetwork" in archive.read("config.json")
    except Exception:
        # Whatever damaged bytes make of a zip file.
        return False


def _sha256(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.cache
def _note(text):
    print(f"Note: {text}", flush=True)
