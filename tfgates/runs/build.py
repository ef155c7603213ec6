"""What a run trains: the network of its flags, and the classifier around it."""

import keras

from tfgates.base.progress import progress
from tfgates.data.preprocess import STATISTICS, STATISTICS_SAMPLE, measure
from tfgates.graph.count import count
from tfgates.network import num_gates
from tfgates.runs import from_run, init_from
from tfgates.runs.network import build_network
from tfgates.settings import targets
from tfgates.settings.network import KERAS, RUN, split
from tfgates.training.classifier import GatedClassifier
from tfgates.training.schedule import StepDecay


def choose_statistics(settings, dataset, preprocessing):
    """Returns the mean and std with which the network standardizes raw pixels."""
    if settings.statistics in STATISTICS:
        return STATISTICS[settings.statistics]
    kind, _ = split(settings.network)
    if kind == KERAS:
        # What its weights expect of the pixels is done inside.
        return STATISTICS["raw"]
    if kind == RUN:
        return from_run.pixel_statistics(settings)
    if settings.statistics == "auto" and settings.init_from:
        return init_from.pixel_statistics(settings.init_from)
    images = min(STATISTICS_SAMPLE, dataset.size("train"))
    with progress("Measuring mean and std of the pixels", "images", images) as show:
        return measure(dataset.records("train"), preprocessing, show)


def build_classifier(settings, num_classes, steps, statistics):
    """Builds and compiles the `GatedClassifier`, under the current strategy."""
    network = build_network(settings, num_classes, statistics)
    size = settings.image_size
    removable = count(network, (size, size, 3)).removable
    classifier = GatedClassifier(
        network,
        target_loss=settings.target_loss,
        target_rate=targets.gate_targets(settings, num_gates(network)),
        target_weight=0 if settings.gate == "stochastic_depth" else settings.target_weight,
        target_penalty=settings.target_penalty,
        gate_weights=removable if settings.target_unit == "multiply_adds" else None,
        schedule=targets.schedule(settings),
        weight_decay=settings.weight_decay,
        decayed=settings.decayed,
        seed=settings.seed,
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
