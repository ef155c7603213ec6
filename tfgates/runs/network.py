"""The network of the flags, built, read or taken from another run, and gated."""

import tensorflow as tf

from tfgates.base.code import import_file
from tfgates.base.errors import UserError
from tfgates.gates import FixedGate, linear_decay
from tfgates.graph.branches import branches
from tfgates.graph.gating import gate
from tfgates.networks import NETWORKS
from tfgates.networks.applications import application
from tfgates.networks.own import load_model, own_model
from tfgates.runs import from_run
from tfgates.settings import targets
from tfgates.settings.network import KERAS, MODEL, RUN, split


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
        return from_run.load(settings, synchronized)
    try:
        return gated(plain(settings, classes, statistics, synchronized), settings, synchronized)
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
