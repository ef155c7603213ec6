"""Trains a gated network, evaluates it under every policy, and leaves a run folder.

    python train.py --flagfile=flags/demo.cfg

The same command on an existing run folder resumes it after its last finished epoch.
"""

import os
import sys

import keras
import tensorflow as tf
from absl import flags

import tfgates.flags
from tfgates import command, init_from
from tfgates.config import TrainConfig
from tfgates.data import batches, datasets
from tfgates.data.augment import AUGMENTATIONS
from tfgates.data.preprocess import STATISTICS, Preprocessing, measure
from tfgates.errors import UserError
from tfgates.networks import NETWORKS
from tfgates.report import pictures
from tfgates.results import EVALUATION_BATCH, evaluate_run, show
from tfgates.run_folder import RunFolder
from tfgates.training import checkpoint
from tfgates.training.callbacks import ProgressBar, RateLog, StopAtDivergence, keep_rows
from tfgates.training.checkpoint import Checkpoint
from tfgates.training.classifier import GatedClassifier
from tfgates.training.recalibrate import recalibrate
from tfgates.training.schedule import StepDecay
from tfgates.training.strategy import make_strategy

tfgates.flags.define_flags()
flags.adopt_module_key_flags(tfgates.flags)


def main():
    settings = TrainConfig.from_flags()
    strategy = make_strategy(settings.strategy, settings.replicas)
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()

    dataset = datasets.open_dataset(settings.dataset, settings.data_dir)
    steps = steps_of_an_epoch(settings, dataset, strategy.num_replicas_in_sync)
    run = claim_run(settings)
    with datasets.readable(dataset):
        preprocessing = Preprocessing(settings.image_size, settings.resize)
        statistics = pixel_statistics(settings, dataset, preprocessing)
        run.write_data(dataset, preprocessing, statistics)
        with strategy.scope():
            classifier = build_classifier(settings, len(dataset.labels), steps, statistics)
            first_epoch = checkpoint.restore(run.checkpoints, classifier)
            if settings.init_from and not first_epoch:
                print(init_from.initialize(classifier.network, settings.init_from), flush=True)
            if first_epoch < settings.epochs:
                fit(classifier, settings, dataset, preprocessing, run, steps, first_epoch)
            else:
                print(f"{run.path} is trained, {first_epoch} of {settings.epochs} epochs.")
            finish(classifier, settings, dataset, preprocessing, run)
        network = run.load_classifier().network
        evaluate_run(run, network, dataset, preprocessing, "test", settings.target_rate)
        if network.num_gates:
            draw(settings, run)
        print(f"Run folder: {run.path}{os.sep}")


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


def claim_run(settings):
    """Returns the run folder, new or of the same run, and refuses one that is further on."""
    run = RunFolder(settings.output_dir)
    finished = max(checkpoint.files(run.checkpoints), default=0)
    if finished > settings.epochs:
        raise UserError(
            f"{run.path} holds a run of {finished} epochs. Received: --epochs={settings.epochs}. "
            "Choose another --output_dir, or as many epochs or more."
        )
    settings.claim(run.flags)
    return run


def pixel_statistics(settings, dataset, preprocessing):
    """Returns the mean and std with which the network standardizes raw pixels."""
    if settings.statistics in STATISTICS:
        return STATISTICS[settings.statistics]
    if settings.statistics == "auto" and settings.init_from:
        return init_from.pixel_statistics(settings.init_from)
    return measure(dataset.records("train"), preprocessing)


def build_classifier(settings, num_classes, steps, statistics):
    """Builds and compiles the `GatedClassifier`, under the current strategy."""
    size = settings.image_size
    network = NETWORKS[settings.network](
        num_classes,
        gate=settings.gate,
        always_open=settings.always_open,
        seed=settings.seed,
        synchronized=tf.distribute.has_strategy(),
        statistics=statistics,
        input_shape=(size, size, 3),
    )
    classifier = GatedClassifier(
        network,
        target_loss=settings.target_loss,
        target_rate=settings.gate_targets,
        target_weight=settings.target_weight,
        weight_decay=settings.weight_decay,
        decayed=settings.decayed,
    )
    schedule = StepDecay(
        settings.initial_learning_rate,
        [epoch * steps for epoch in settings.decay_epochs],
        settings.warmup_epochs * steps,
    )
    crossentropy = (
        keras.losses.SparseCategoricalCrossentropy
        if settings.mix == "none"
        else keras.losses.CategoricalCrossentropy
    )
    classifier.compile(
        optimizer=keras.optimizers.SGD(schedule, momentum=settings.momentum),
        loss=crossentropy(from_logits=True),
        # Weighted, so that the fillers of the last evaluation batch do not count.
        weighted_metrics=["accuracy"],
        jit_compile=False,
    )
    return classifier


def fit(classifier, settings, dataset, preprocessing, run, steps, first_epoch):
    """Trains the epochs from `first_epoch` on."""
    print(
        f"{settings.network}, gate: {settings.gate}, on {dataset.name}: "
        f"{dataset.size('train')} images of {dataset.splits['train']} for training, "
        f"{dataset.splits['validation']} for validation, {dataset.splits['test']} for the test. "
        f"Epochs {first_epoch + 1} to {settings.epochs}. Run folder: {run.path}",
        flush=True,
    )
    keep_rows(run.log, "epoch", first_epoch - 1)
    keep_rows(run.rates, "step", first_epoch * steps)
    classifier.fit(
        training_batches(
            settings,
            dataset,
            preprocessing,
            batch_size=settings.batch_size,
            steps_per_epoch=steps,
            first_epoch=first_epoch,
            epochs=settings.epochs,
        ),
        validation_data=batches.evaluation_batches(
            dataset, "validation", preprocessing, EVALUATION_BATCH, settings.mix != "none"
        ),
        steps_per_epoch=steps,
        initial_epoch=first_epoch,
        epochs=settings.epochs,
        shuffle=False,
        # Without a screen one line an epoch is enough.
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=[
            ProgressBar(),
            keras.callbacks.CSVLogger(run.log, append=True),
            keras.callbacks.TensorBoard(run.tensorboard, write_graph=False),
            RateLog(run.rates, every=max(1, steps // 20), first_step=first_epoch * steps),
            StopAtDivergence(),
            Checkpoint(run.checkpoints, run.log),
        ],
    )


def training_batches(settings, dataset, preprocessing, **arguments):
    """The augmented batches of some epochs, see `tfgates.data.batches.training_batches`."""
    return batches.training_batches(
        dataset,
        preprocessing,
        AUGMENTATIONS[settings.augment],
        seed=settings.seed,
        magnitude=settings.rand_augment,
        mix=settings.mix,
        **arguments,
    )


def finish(classifier, settings, dataset, preprocessing, run):
    """Makes the model of a trained run: the kept epoch, with its batch norm recalibrated."""
    if settings.keep == "best":
        best = checkpoint.best_epoch(run.log)
        print(f"Keeping epoch {best}, the best on the validation images.", flush=True)
        checkpoint.load(checkpoint.files(run.checkpoints, "best")[best], classifier)
    total = settings.recalibration_batches
    if total:
        size = min(settings.recalibration_batch_size, dataset.size("train"))
        print(f"Recalibrating batch norm on {total} batches of {size} images:", flush=True)
        images = training_batches(
            settings,
            dataset,
            preprocessing,
            batch_size=size,
            steps_per_epoch=total,
            # An order of its own, the one after the last epoch.
            first_epoch=settings.epochs,
            epochs=settings.epochs + 1,
        )
        recalibrate(
            classifier.network, images, lambda done: show(f"batch {done} of {total}", done < total)
        )
    run.save_classifier(classifier)


def draw(settings, run):
    """Draws the rates over the training steps, where their log can be read."""
    try:
        pictures.rates_over_steps(run.rates, run.picture, settings.target_rate)
    except (OSError, ValueError) as error:
        print(f"\nNo picture of the rates: {run.rates} cannot be read: {error}")
    else:
        print(f"\nPicture of the rates over the training steps: {run.picture}")


if __name__ == "__main__":
    command.run(main)
