"""The epochs of a run: its batches, on every replica, and what is logged of them."""

import sys
import warnings

import keras

from tfgates.data import batches
from tfgates.network import decision_names
from tfgates.report.rates import rates_over_epochs
from tfgates.runs.data import EVALUATION_BATCH, training_batches
from tfgates.training.callbacks import (
    EpochRates,
    EpochSchedule,
    RateLog,
    StopAtDivergence,
)
from tfgates.training.checkpoint import Checkpoint
from tfgates.training.logs import OF_GATE, keep_rows, read_rows
from tfgates.training.tensorboard import TensorBoard, keep_events


def fit(classifier, settings, dataset, preprocessing, run, steps, first_epoch):
    """Trains the epochs from `first_epoch` on, and logs them.

    Args:
        classifier: compiled `GatedClassifier`.
        settings: `TrainConfig`.
        dataset: `ImageDataset` or `FolderDataset`.
        preprocessing: `Preprocessing`.
        run: `RunFolder`, whose logs are kept up to `first_epoch`.
        steps: batches of an epoch.
        first_epoch: number of epochs that are finished.
    """
    print(
        f"{settings.network}, gate: {settings.gate}, on {dataset.name}: "
        f"{dataset.size('train')} images of {dataset.splits['train']} for training, "
        f"{dataset.splits['validation']} for validation, {dataset.splits['test']} for the test. "
        f"Epochs {first_epoch + 1} to {settings.epochs}. Run folder: {run.path}",
        flush=True,
    )
    for path, column, last in _logs(run, first_epoch, steps):
        if first_epoch:
            keep_rows(path, column, last)
        else:
            path.unlink(missing_ok=True)
    keep_events(run.tensorboard, first_epoch, steps)

    def training(share):
        return training_batches(
            settings,
            dataset,
            preprocessing,
            batch_size=settings.batch_size,
            steps_per_epoch=steps,
            first_epoch=first_epoch,
            epochs=settings.epochs,
            share=share,
        )

    def validation(share):
        return batches.evaluation_batches(
            dataset,
            "validation",
            preprocessing,
            min(EVALUATION_BATCH, dataset.size("validation")),
            one_hot=settings.mix != "none",
            share=share,
        )

    # Keras takes the end of the validation images, of several replicas, for a lack of data.
    warnings.filterwarnings("ignore", "Your input ran out of data")
    distributed = classifier.distribute_strategy.distribute_datasets_from_function
    classifier.fit(
        distributed(training),
        validation_data=distributed(validation),
        steps_per_epoch=steps,
        initial_epoch=first_epoch,
        epochs=settings.epochs,
        shuffle=False,
        # Without a screen one line an epoch is enough.
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=[
            # Before the rates of the single gates, which would fill the screen.
            keras.callbacks.ProgbarLogger(),
            EpochRates(),
            keras.callbacks.CSVLogger(run.log, append=True),
            TensorBoard(run.tensorboard, run.log, rates_over_epochs),
            RateLog(run.rates, every=max(1, steps // 20), first_step=first_epoch * steps),
            EpochSchedule(),
            StopAtDivergence(),
            Checkpoint(run.checkpoints, run.log),
        ],
    )


def check_logs(run, network, first_epoch, steps):
    """Refuses logs that a resumed run could not go on with, before it begins.

    Args:
        run: `RunFolder`.
        network: that is trained.
        first_epoch: number of epochs that are finished.
        steps: batches of an epoch.

    Raises:
        UserError: a log is damaged, or of other gates.
    """
    names = decision_names(network)
    needed = {run.log: ["val_accuracy", *(f"{OF_GATE}{name}" for name in names)], run.rates: names}
    for path, column, last in _logs(run, first_epoch, steps):
        read_rows(path, column, last, needed[path])


def _logs(run, first_epoch, steps):
    """Returns of each log its path, its counter, and the last number of a finished epoch."""
    return (run.log, "epoch", first_epoch - 1), (run.rates, "step", first_epoch * steps)
