"""What a run shows and keeps while it trains."""

import csv
import math

import keras

from tfgates.base.errors import UserError
from tfgates.network import decision_names
from tfgates.training.logs import OF_GATE


class EpochRates(keras.callbacks.Callback):
    """Adds the rate of each gate to the log of an epoch: gate/NAME, and val_gate/NAME.

    It stands before the callbacks that write the log, and behind those that shall not show so many
    numbers. In the log of a step they would cost a transfer each.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self.entries = {}

    def on_test_begin(self, logs=None):
        # The last moment at which the metric is that of the training.
        self._add("")

    def on_test_end(self, logs=None):
        self._add("val_")

    def on_epoch_end(self, epoch, logs=None):
        if not self.entries:
            self._add("")
        logs.update(self.entries)

    def _add(self, prefix):
        rates = keras.ops.convert_to_numpy(self.model.gate_rates.rates())
        for name, rate in zip(decision_names(self.model.network), rates.tolist(), strict=True):
            self.entries[f"{prefix}{OF_GATE}{name}"] = rate


class RateLog(keras.callbacks.Callback):
    """Writes the mean rate of each gate over every few steps to a CSV file.

    Args:
        path: of the CSV file: a column "step", then one with the name of each gate.
        every: steps of one row. Steps after the last full row of an epoch are left out.
        first_step: the number of steps that were trained before.
    """

    def __init__(self, path, every=10, first_step=0):
        super().__init__()
        self.path = path
        self.every = every
        self.step = first_step

    def on_train_begin(self, logs=None):
        if not self.path.exists():
            self._write(["step", *decision_names(self.model.network)])

    def on_epoch_begin(self, epoch, logs=None):
        self.total, self.count = 0.0, 0.0

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        if self.step % self.every == 0:
            self._add_row()

    def _add_row(self):
        metric = self.model.gate_rates
        total, count = (
            keras.ops.convert_to_numpy(values).astype("float64")
            for values in (metric.total, metric.count)
        )
        if count > self.count:
            rates = metric.rates(total - self.total, count - self.count)
            rates = keras.ops.convert_to_numpy(rates)
            self._write([self.step, *rates.round(4).tolist()])
        self.total, self.count = total, count

    def _write(self, row):
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow(row)


class EpochSchedule(keras.callbacks.Callback):
    """Sets the targets, their loss, noise and temperature of the gates to those of each epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.model.target.begin_epoch(epoch)


class StopAtDivergence(keras.callbacks.Callback):
    """Ends a run whose loss is no longer a number; its last checkpoint stays.

    The loss after a step is the mean over the epoch so far, so that one which is no number stays
    none. It is looked at every few steps, as a look waits for the device, and at the last step of
    an epoch; what its last update has done shows in the loss of the validation. Stands before
    `Checkpoint`, which writes no epoch that has diverged.

    Args:
        every: steps from one look to the next.

    Raises:
        UserError: the loss is infinite or not a number.
    """

    def __init__(self, every=50):
        super().__init__()
        self.every = every

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        step = batch + 1
        if step % self.every == 0 or step == self.params["steps"]:
            self._check("loss", logs["loss"], f"by step {step}")

    def on_epoch_end(self, epoch, logs=None):
        for name in ("loss", "val_loss"):
            if name in logs:
                self._check(name, logs[name], "at the end")

    def _check(self, name, value, when):
        value = float(value)
        if not math.isfinite(value):
            raise UserError(
                f"The {name} became {value} {when} of epoch {self.epoch}: the training diverged. "
                "Pass a lower --learning_rate, with another --output_dir."
            )
