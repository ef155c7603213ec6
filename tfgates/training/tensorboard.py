"""What TensorBoard shows of a run, of its gates, and of several runs side by side."""

import contextlib
import re
import shutil

import keras
import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams import api as hparams

from tfgates.base.errors import UserError
from tfgates.base.files import put_in_place
from tfgates.network import num_gates
from tfgates.training.logs import gate_rates

FILES = "events.out.tfevents.*"
# Keras counts the epochs in these by training steps.
BY_STEP = "_vs_iterations"


@contextlib.contextmanager
def in_one_line(folder):
    """Turns what TensorFlow raises where event files cannot be written into a `UserError`."""
    try:
        yield
    except tf.errors.OpError as error:
        reason = re.sub(r"^\{\{.*?\}\} *", "", str(error).splitlines()[0])[:300]
        raise UserError(
            f"Cannot write what TensorBoard shows to {folder}: {reason}. What is finished is kept: "
            "make room there, and start the same command again."
        ) from error


class TensorBoard(keras.callbacks.TensorBoard):
    """Keras's scalars, and a histogram and a picture of the gates' rates in each epoch.

    Args:
        folder: of the event files: train, validation and, where there are gates, gates.
        log: path of the CSV log, whose row of an epoch is written before.
        draw: function of rates [epochs, G] that returns a picture, uint8 [H, W, 3].
    """

    def __init__(self, folder, log, draw):
        super().__init__(folder, write_graph=False)
        self.folder = folder
        self.log = log
        self.draw = draw

    def on_train_begin(self, logs=None):
        with in_one_line(self.folder):
            super().on_train_begin(logs)

    def on_test_begin(self, logs=None):
        with in_one_line(self.folder):
            super().on_test_begin(logs)

    def on_test_end(self, logs=None):
        with in_one_line(self.folder):
            super().on_test_end(logs)

    def on_epoch_end(self, epoch, logs=None):
        with in_one_line(self.folder):
            super().on_epoch_end(epoch, logs)
            if num_gates(self.model.network):
                self._write_rates(epoch)
            # What has a checkpoint is not written again, so it must not be lost in a buffer.
            for writer in self._writers.values():
                writer.flush()

    def on_train_end(self, logs=None):
        with in_one_line(self.folder):
            super().on_train_end(logs)

    def _write_rates(self, epoch):
        if "gates" not in self._writers:
            self._writers["gates"] = tf.summary.create_file_writer(str(self.folder / "gates"))
        rates = gate_rates(self.log)
        with self._writers["gates"].as_default(step=epoch):
            tf.summary.histogram("gate_rates", rates[-1])
            tf.summary.image("gate_rates", self.draw(rates)[None])


def write_hparams(folder, name, flags, metrics):
    """Writes what TensorBoard compares runs by; what the folder held before goes.

    Args:
        folder: of the event file, in which nothing else is, so that these are the only metrics.
        name: of the run.
        flags: dict of texts; those of numbers are compared as numbers.
        metrics: dict of numbers.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with (
        in_one_line(folder),
        tf.summary.create_file_writer(str(folder)).as_default(step=0) as writer,
    ):
        hparams.hparams({flag: _number(text) for flag, text in flags.items()}, trial_id=name)
        for metric, value in metrics.items():
            tf.summary.scalar(metric, value)
        writer.close()


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text


def keep_events(folder, epochs, steps):
    """Drops the events of an epoch that was not finished, which a resumed run writes again.

    Args:
        folder: of TensorBoard; nothing is done where it is missing.
        epochs: number of finished epochs.
        steps: training steps of an epoch.
    """
    for path in folder.rglob(FILES):
        records = []
        try:
            for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                if _is_finished(Event.FromString(record), epochs, steps):
                    records.append(record)
        except tf.errors.DataLossError:
            # A run that is killed while it writes leaves half an event.
            pass
        # A name that TensorBoard does not look for.
        unfinished = path.with_name("unfinished")
        try:
            with in_one_line(folder), tf.io.TFRecordWriter(str(unfinished)) as writer:
                for record in records:
                    writer.write(record)
            put_in_place(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)


def _is_finished(event, epochs, steps):
    if not event.HasField("summary"):
        return True
    by_step = any(value.tag.endswith(BY_STEP) for value in event.summary.value)
    return event.step <= epochs * steps if by_step else event.step < epochs
