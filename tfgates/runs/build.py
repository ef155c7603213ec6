"""What a run trains: the network of its flags, and the classifier around it."""

import keras
import tensorflow as tf

from tfgates import costs
from tfgates.base.progress import progress
from tfgates.data.preprocess import STATISTICS, STATISTICS_SAMPLE, measure
from tfgates.networks import NETWORKS
from tfgates.runs import from_run, init_from
from tfgates.settings import targets
from tfgates.settings.network import is_of_run
from tfgates.training.classifier import GatedClassifier
from tfgates.training.schedule import StepDecay


def choose_statistics(settings, dataset, preprocessing):
    """Returns the mean and std with which the network standardizes raw pixels."""
    if settings.statistics in STATISTICS:
        return STATISTICS[settings.statistics]
    if is_of_run(settings.network):
        return from_run.pixel_statistics(settings)
    if settings.statistics == "auto" and settings.init_from:
        return init_from.pixel_statistics(settings.init_from)
    count = min(STATISTICS_SAMPLE, dataset.size("train"))
    with progress("Measuring mean and std of the pixels", "images", count) as show:
        return measure(dataset.records("train"), preprocessing, show)


def build_network(settings, num_classes, statistics):
    """Builds the `GatedNetwork`, a new one or that of another run."""
    synchronized = settings.sync_batch_norm and tf.distribute.has_strategy()
    if is_of_run(settings.network):
        return from_run.load(settings, synchronized)
    size = settings.image_size
    return NETWORKS[settings.network](
        num_classes,
        gate=settings.gate,
        gated=settings.gated,
        filter_groups=settings.filter_groups,
        always_open=targets.always_open(settings),
        last_probability=settings.last_probability,
        seed=settings.seed,
        synchronized=synchronized,
        statistics=statistics,
        input_shape=(size, size, 3),
    )


def build_classifier(settings, num_classes, steps, statistics):
    """Builds and compiles the `GatedClassifier`, under the current strategy."""
    network = build_network(settings, num_classes, statistics)
    size = settings.image_size
    removable = costs.count(network, (size, size, 3)).removable
    classifier = GatedClassifier(
        network,
        target_loss=settings.target_loss,
        target_rate=targets.gate_targets(settings),
        target_weight=0 if settings.gate == "stochastic_depth" else settings.target_weight,
        target_penalty=settings.target_penalty,
        gate_weights=removable if settings.target_unit == "multiply_adds" else None,
        schedule=targets.schedule(settings),
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
        jit_compile=settings.jit,
    )
    return classifier
