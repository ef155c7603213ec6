"""Trains a gated network, evaluates it, and leaves a run folder."""

import contextlib
import os
import shlex

import keras
import tensorflow as tf

from tfgates.base.errors import UserError
from tfgates.base.lock import locked
from tfgates.data import datasets
from tfgates.data.labels import absent
from tfgates.data.preprocess import Preprocessing
from tfgates.runs import another_run, init_from, teacher
from tfgates.runs.build import build_classifier, choose_statistics
from tfgates.runs.data import recorded_splits
from tfgates.runs.finish import best_weights, finish
from tfgates.runs.fit import check_logs, fit
from tfgates.runs.folder import RunFolder
from tfgates.settings import flagfile
from tfgates.settings.config import TrainConfig
from tfgates.settings.network import RUN, split
from tfgates.training import checkpoint
from tfgates.training.strategy import make_strategy
from tfgates.training.workers import check_agreement, is_chief, one_writer


def main():
    settings = TrainConfig.from_flags()
    strategy = set_up(settings)
    recorded = recorded_splits(settings)
    dataset = datasets.open_dataset(settings.dataset, settings.data_dir, recorded)
    steps = steps_of_an_epoch(settings, dataset, strategy.num_replicas_in_sync)
    if split(settings.network)[0] == RUN:
        another_run.check(settings, len(dataset.labels))
    teacher.check(settings, dataset)
    there = RunFolder(settings.output_dir)
    # Of several workers the chief alone writes there.
    lock = locked(there.path) if is_chief(strategy) else contextlib.nullcontext()
    with lock, datasets.readable(dataset), one_writer(strategy, there.path) as folder:
        run = RunFolder(folder)
        check_folder(there, settings)
        preprocessing = Preprocessing(settings.image_size, settings.resize)
        resumes = bool(checkpoint.files(there.checkpoints))
        statistics = check_data(there, settings, dataset, preprocessing)
        with strategy.scope():
            classifier = build_classifier(settings, len(dataset.labels), steps, statistics)
            first_epoch = begin(settings, classifier, there, steps)
        check_agreement(
            strategy,
            f"{settings.as_flagfile()}{steps} steps from epoch {first_epoch}, checkpoint "
            f"{checkpoint.checksum(there.checkpoints, first_epoch)}, {dataset.name}, "
            f"{dataset.fingerprint}, statistics {statistics}",
        )
        # Nothing is written before this line, and nothing refuses the run after it.
        flagfile.write(run.flags, settings)
        if note := absent(dataset):
            print(note, flush=True)
        if not resumes:
            run.write_data(dataset, preprocessing, statistics)
        if first_epoch < settings.epochs:
            fit(classifier, settings, dataset, preprocessing, run, steps, first_epoch)
        else:
            print(f"{run.path} is trained, {first_epoch} of {settings.epochs} epochs.", flush=True)
        run.save_classifier(classifier, run.trained)
        if is_chief(strategy):
            finish(settings, dataset, preprocessing, run)
            print(f"Run folder: {run.path}{os.sep}")


def set_up(settings):
    """Sets devices, seeds and precision; returns the strategy.

    Raises:
        UserError: another number of replicas than the flags are for.
    """
    strategy = make_strategy(settings.strategy, settings.replicas)
    replicas = strategy.num_replicas_in_sync
    if settings.jit and replicas > 1:
        raise UserError(
            f"--jit belongs to one replica: XLA cannot compile a step of several. Received: --jit "
            f"with {replicas} replicas. Leave it out, or pass --strategy=one."
        )
    if not settings.sync_batch_norm and replicas == 1:
        raise UserError(
            "--sync_batch_norm=false belongs to several replicas: here one has the whole batch. "
            "Leave it out, or pass --strategy=mirrored with --replicas."
        )
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    return strategy


def steps_of_an_epoch(settings, dataset, replicas):
    """Returns the batches of an epoch, and refuses batches that cannot be made."""
    images = dataset.size("train")
    if settings.batch_size % replicas:
        raise UserError(
            f"--batch_size is divided over {replicas} replicas. Received: {settings.batch_size}. "
            f"Choose a multiple of {replicas}."
        )
    if settings.batch_size > images:
        raise UserError(
            f"--batch_size is at most the {images} training images of {dataset.name}. "
            f"Received: {settings.batch_size}."
        )
    return settings.steps_per_epoch or images // settings.batch_size


def check_folder(run, settings):
    """Refuses a run folder that the run cannot begin in, or go on in."""
    finished = max(checkpoint.files(run.checkpoints), default=0)
    if finished > settings.epochs:
        raise UserError(
            f"{run.path} holds a run of {finished} epochs. Received: --epochs={settings.epochs}. "
            "Choose another --output_dir, or as many epochs or more."
        )
    if run.model.exists() and not finished:
        further = shlex.quote(f"--network=run:{run.path}")
        raise UserError(
            f"{run.path} holds a finished model without a checkpoint to go on from. Received: "
            f"--output_dir={run.path}. Choose another; {further} trains it further."
        )
    if finished and run.flags.exists():
        flagfile.require_same(run.flags, settings)
    if settings.init_from and not finished:
        init_from.check(settings.init_from, settings.network)


def check_data(run, settings, dataset, preprocessing):
    """Returns the mean and std of pixels, and refuses data that is not that of a run to resume."""
    if checkpoint.files(run.checkpoints):
        run.require_same_data(dataset, preprocessing)
        return run.load_statistics()
    datasets.require_images(dataset)
    return choose_statistics(settings, dataset, preprocessing)


def begin(settings, classifier, run, steps):
    """Gives a classifier the weights that it begins with, or goes on from.

    Returns:
        The number of epochs that are finished.

    Raises:
        UserError: they are damaged, lost, or those of another network; or a log is damaged.
    """
    first_epoch = checkpoint.restore(run.checkpoints, classifier)
    if settings.init_from and not first_epoch:
        print(init_from.initialize(classifier.network, settings.init_from), flush=True)
    if 0 < first_epoch < settings.epochs:
        check_logs(run, classifier.network, first_epoch, steps)
    if first_epoch == settings.epochs and settings.keep == "best":
        best_weights(run)
    return first_epoch
