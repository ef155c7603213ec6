"""Trains a gated network, evaluates it under every policy, and leaves a run folder.

    python train.py --flagfile=flags/demo.cfg

The same command on an existing run folder resumes it after its last finished epoch.
"""

import dataclasses
import os
import sys

import keras
import tensorflow as tf
from absl import flags

from tfgates import command, config, costs
from tfgates.data import batches, datasets
from tfgates.data.augment import AUGMENTATIONS
from tfgates.data.preprocess import Preprocessing
from tfgates.errors import UserError
from tfgates.inference.evaluate import evaluate
from tfgates.networks import NETWORKS
from tfgates.report import pictures, tables
from tfgates.run_folder import RunFolder, write_json
from tfgates.training.callbacks import (
    Checkpoint,
    ProgressBar,
    RateLog,
    StopAtDivergence,
    keep_rows,
)
from tfgates.training.classifier import GatedClassifier
from tfgates.training.strategy import make_strategy
from tfgates.training.workers import check_agreement, is_chief, one_writer

config.define_flags()
flags.adopt_module_key_flags(config)

EVALUATION_BATCH = 250


def main():
    settings = config.TrainConfig.from_flags()
    strategy = make_strategy(settings.strategy, settings.replicas)
    keras.utils.set_random_seed(settings.seed)
    keras.config.set_dtype_policy(settings.precision)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()

    dataset = datasets.open_dataset(settings.dataset, settings.data_dir)
    steps = steps_of_an_epoch(settings, dataset, strategy.num_replicas_in_sync)
    claimed = claim_run(settings, is_chief(strategy))
    with datasets.readable(dataset), one_writer(strategy, claimed.path) as folder:
        run = RunFolder(folder)
        preprocessing = Preprocessing.measured(dataset.records("train"), settings.image_size)
        run.write_data(dataset, preprocessing)
        with strategy.scope():
            classifier = build_classifier(settings, len(dataset.labels), steps)
            first_epoch = Checkpoint.restore(claimed.checkpoints, classifier)
        check_agreement(strategy, f"{settings.as_flagfile()}{steps} steps from epoch {first_epoch}")
        if first_epoch < settings.epochs:
            fit(classifier, settings, dataset, preprocessing, run, steps, first_epoch)
        else:
            print(f"{run.path} is trained, {first_epoch} of {settings.epochs} epochs.", flush=True)
        run.save_classifier(classifier)
        if is_chief(strategy):
            report(settings, dataset, preprocessing, run)


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


def claim_run(settings, chief):
    """Returns the run folder, new or of the same run, and refuses one that is further on.

    Only the chief writes its flags there.
    """
    run = RunFolder(settings.output_dir)
    finished = max(Checkpoint.finished_epochs(run.checkpoints), default=0)
    if finished > settings.epochs:
        raise UserError(
            f"{run.path} holds a run of {finished} epochs. Received: --epochs={settings.epochs}. "
            "Choose another --output_dir, or as many epochs or more."
        )
    if chief:
        settings.claim(run.flags)
    return run


def build_classifier(settings, num_classes, steps):
    """Builds and compiles the `GatedClassifier`, under the current strategy."""
    size = settings.image_size
    network = NETWORKS[settings.network](
        num_classes,
        gate=settings.gate,
        seed=settings.seed,
        input_shape=(size, size, 3),
        synchronized=tf.distribute.has_strategy(),
    )
    classifier = GatedClassifier(
        network,
        target_loss=settings.target_loss,
        target_rate=settings.target_rate,
        target_weight=settings.target_weight,
        weight_decay=settings.weight_decay,
    )
    rates = [settings.learning_rate * 0.1**k for k in range(len(settings.decay_epochs) + 1)]
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        # A step counts from 0, and a boundary is the last step of the rate before it.
        [epoch * steps - 1 for epoch in settings.decay_epochs],
        rates,
    )
    classifier.compile(
        optimizer=keras.optimizers.SGD(schedule, momentum=settings.momentum),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
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

    def training(share):
        return batches.training_batches(
            dataset,
            preprocessing,
            AUGMENTATIONS[settings.augment],
            batch_size=settings.batch_size,
            steps_per_epoch=steps,
            seed=settings.seed,
            first_epoch=first_epoch,
            epochs=settings.epochs,
            share=share,
        )

    def validation(share):
        return batches.evaluation_batches(
            dataset, "validation", preprocessing, EVALUATION_BATCH, share
        )

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
            ProgressBar(),
            keras.callbacks.CSVLogger(run.log, append=True),
            keras.callbacks.TensorBoard(run.tensorboard, write_graph=False),
            RateLog(run.rates, every=max(1, steps // 20), first_step=first_epoch * steps),
            StopAtDivergence(),
            Checkpoint(run.checkpoints),
        ],
    )


def report(settings, dataset, preprocessing, run):
    """Evaluates the saved model on the test split: a table, bars, metrics.json and a picture."""
    network = run.load_classifier().network
    print(f"\nEvaluating on {dataset.size('test')} test images:", flush=True)
    test_batches = batches.evaluation_batches(dataset, "test", preprocessing, EVALUATION_BATCH)
    results = evaluate(network, test_batches, show_passes)
    write_json(
        run.metrics,
        {
            "dataset": dataset.name,
            "test_images": dataset.size("test"),
            "target_rate": settings.target_rate,
            "ungated_macs": costs.count(network, test_batches.element_spec[0].shape[1:]).ungated,
            "policies": [dataclasses.asdict(result) for result in results],
        },
    )
    print(f"\n{tables.policies(results)}\n")
    if network.num_gates:
        print(f"Rate of each gate, {results[0].policy} (target {settings.target_rate}):")
        print(tables.gate_bars(results[0].gate_rates))
        draw(settings, run)
    print(f"Run folder: {run.path}{os.sep}")


def show_passes(done, total):
    """Shows how many passes over the test images are done."""
    end = "\r" if sys.stdout.isatty() and done < total else "\n"
    print(f"pass {done} of {total}", end=end, flush=True)


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
