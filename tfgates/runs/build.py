"""What a run trains: the network of its flags, and the classifier around it."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tfgates.base.code import import_file
from tfgates.base.errors import UserError
from tfgates.base.progress import progress
from tfgates.data.preprocess import STATISTICS, STATISTICS_SAMPLE, measure
from tfgates.early_exit import exit_target
from tfgates.graph.branches import branches
from tfgates.graph.count import count
from tfgates.graph.exits import exits
from tfgates.graph.gating import gate
from tfgates.graph.nesting import nest
from tfgates.losses import SmoothedCrossentropy
from tfgates.network import columns, exits_of
from tfgates.networks import BLOCK_ENDS, NETWORKS
from tfgates.networks.applications import application
from tfgates.networks.own import load_model, own_model
from tfgates.runs import another_run, init_from, teacher
from tfgates.schedules import Constant
from tfgates.settings import targets
from tfgates.settings.exit_flags import BLOCKS
from tfgates.settings.network import KERAS, MODEL, RUN, split
from tfgates.stochastic_depth import FixedGate, linear_decay
from tfgates.targets import Target
from tfgates.training.classifier import GatedClassifier
from tfgates.training.schedule import CosineDecay, StepDecay


def choose_statistics(settings, dataset, preprocessing):
    """Returns the mean and std with which the network standardizes raw pixels."""
    if settings.statistics in STATISTICS:
        return STATISTICS[settings.statistics]
    kind, _ = split(settings.network)
    if kind == KERAS:
        # What its weights expect of the pixels is done inside.
        return STATISTICS["raw"]
    if kind == RUN:
        return another_run.pixel_statistics(settings)
    if settings.statistics == "auto" and settings.init_from:
        return init_from.pixel_statistics(settings.init_from)
    images = min(STATISTICS_SAMPLE, dataset.size("train"))
    with progress("Measuring mean and std of the pixels", "images", images) as show:
        return measure(dataset.records("train"), preprocessing, show)


def build_classifier(settings, num_classes, steps, statistics):
    """Builds and compiles the `GatedClassifier`, under the current strategy."""
    network = build_network(settings, num_classes, statistics)
    classifier = GatedClassifier(
        network,
        targets_of(settings, network),
        teacher=teacher.load(settings, num_classes),
        teacher_weight=settings.teacher_weight,
        teacher_temperature=settings.teacher_temperature,
        exit_weight=settings.exit_weight,
        weight_decay=settings.weight_decay,
        decayed=settings.decayed,
        decay_gates=settings.decay_gates,
        gate_learning_rate_factor=settings.gate_learning_rate_factor,
        seed=settings.seed,
    )
    classifier.compile(
        optimizer=keras.optimizers.SGD(
            learning_rate(settings, steps), settings.momentum, settings.nesterov
        ),
        loss=crossentropy(settings),
        # Weighted, so that the fillers of the last evaluation batch do not count.
        weighted_metrics=["accuracy"],
        jit_compile=settings.jit,
    )
    return classifier


def targets_of(settings, network):
    """Returns the targets of the flags: one of the layers, and one of the exits where some are."""
    schedule, size = targets.schedule(settings), settings.image_size
    leaving = [layer.name for layer in exits_of(network)]
    parts = {name: part for name, part in columns(network).items() if name not in leaving}
    inside = [column for part in parts.values() for column in range(part.start, part.stop)]
    weights = None
    if settings.target_unit == "multiply_adds":
        weights = np.take(count(network, (size, size, 3)).removable, inside)
    found = [
        Target(
            targets.gate_targets(settings, len(inside)),
            settings.target_loss,
            settings.target_penalty,
            tuple(parts) if leaving else None,
            weights,
            0 if settings.gate == "stochastic_depth" else settings.target_weight,
            schedule,
        )
    ]
    if not leaving:
        return found
    # The noise of exits goes with that of the layers, their target stays.
    constant = dataclasses.replace(schedule, target=Constant(), relax_epochs=0)
    rates = settings.exit_target if len(settings.exit_target) > 1 else settings.exit_target[0]
    weight = settings.target_weight
    of_exits = exit_target(rates, settings.exit_penalty, leaving, weight=weight, schedule=constant)
    return [*(found if parts else []), of_exits]


def learning_rate(settings, steps):
    """Returns the learning rate over the steps, of which an epoch has so many."""
    first, warmup = settings.initial_learning_rate, settings.warmup_epochs * steps
    if settings.learning_rate_schedule == "cosine":
        return CosineDecay(first, settings.epochs * steps, warmup)
    return StepDecay(first, [epoch * steps for epoch in settings.decay_epochs], warmup)


def crossentropy(settings):
    """Returns the loss of the labels, class numbers or, of mixed images, shares of the classes."""
    smoothing = settings.label_smoothing
    if settings.mix != "none":
        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    if smoothing:
        return SmoothedCrossentropy(smoothing)
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def build_network(settings, classes, statistics):
    """Builds the network of a run, a new one or that of another run.

    Args:
        settings: `TrainConfig`.
        classes: their number.
        statistics: mean and std of each channel with which it standardizes raw pixels.

    Returns:
        `Network`; without gates a plain `keras.Model`, images -> logits.

    Raises:
        UserError: the model of one's own cannot be read, or the network cannot be built or gated.
    """
    synchronized = settings.sync_batch_norm and tf.distribute.has_strategy()
    if split(settings.network)[0] == RUN:
        return another_run.load(settings, synchronized)
    try:
        model = gated(plain(settings, classes, statistics, synchronized), settings, synchronized)
        return left_early(model, settings, synchronized)
    except (ValueError, TypeError) as error:
        raise UserError(f"--network={settings.network}: {error}") from error


def plain(settings, classes, statistics, synchronized):
    """Builds a network without gates, raw pixels -> logits."""
    kind, value = split(settings.network)
    shape = (settings.image_size, settings.image_size, 3)
    if kind == KERAS:
        return application(value, classes, shape, synchronized)
    if kind == MODEL:
        import_file(settings.code)
        return own_model(load_model(value), classes, shape, statistics, synchronized)
    return NETWORKS[value](
        classes, input_shape=shape, synchronized=synchronized, statistics=statistics
    )


def gated(model, settings, synchronized):
    """Gates a plain network as the flags say."""
    if settings.gate == "none":
        return model
    if settings.gate == "nested":
        return nest(model)
    names = [branch.name for branch in branches(model)]
    if settings.gate == "stochastic_depth":
        decay = linear_decay(len(names), settings.last_probability)
        probabilities = dict(zip(names, decay, strict=True))
        return gate(model, lambda branch: FixedGate(probabilities[branch.name]), seed=settings.seed)
    opened = {names[index] for index in targets.always_open(settings)}
    return gate(
        model,
        settings.gate,
        (lambda branch: branch.name not in opened) if opened else settings.where or None,
        gated=settings.gated,
        groups=settings.filter_groups,
        seed=settings.seed,
        **({"synchronized": synchronized} if settings.gate == "dependent" else {}),
    )


def left_early(model, settings, synchronized):
    """Puts exits into a network as the flags say."""
    if not settings.exits:
        return model
    at = BLOCK_ENDS[model.name] if settings.exits == (BLOCKS,) else settings.exits
    # A stream of its own beside those of the other gates.
    seed = settings.seed + 2**31
    return exits(model, at, units=settings.exit_units, synchronized=synchronized, seed=seed)
