"""--network=run:PATH: the network of another run, to be trained further or, with new weights, anew.

Its structure is read from its model file, so that a pruned network keeps what pruning left of it.
"""

import pathlib

import keras

from tfgates.base.errors import UserError
from tfgates.gates import GATES, full_precision, kind_of
from tfgates.graph.copying import copied
from tfgates.graph.gating import noise_streams
from tfgates.graph.nodes import producer
from tfgates.graph.outputs import features_and_decisions
from tfgates.network import exits_of, gates, num_classes
from tfgates.runs.folder import RunFolder
from tfgates.settings.network import split


def check(settings, classes):
    """Refuses settings that the network does not fit, before anything is built or written.

    Args:
        settings: `TrainConfig` whose network is run:PATH.
        classes: number of those of the data set.

    Raises:
        UserError: no such run, the folder of this run itself, or other gates, classes or images.
    """
    run = _run(settings)
    if run.path.resolve() == pathlib.Path(settings.output_dir).resolve():
        raise UserError(
            f"--output_dir is another folder than that of --network={settings.network}, whose "
            f"model stays as it is. Received: --output_dir={settings.output_dir}. Choose another."
        )
    _, _, preprocessing = run.load_data()
    network = run.load_classifier().network
    for name, own, received in (
        ("image_size", preprocessing.size, settings.image_size),
        ("gate", gate_kind(network), settings.gate),
    ):
        if received != own:
            raise UserError(
                f"--network={settings.network} was made for --{name}={own}. "
                f"Received: --{name}={received}. Pass --{name}={own}."
            )
    if num_classes(network) != classes:
        raise UserError(
            f"--network={settings.network} knows {num_classes(network)} classes. Received: "
            f"--dataset={settings.dataset} with {classes}. Choose a data set with as many, or "
            "--init_from, which starts a new classifier."
        )


def load(settings, synchronized):
    """Builds the network anew for this run, under the current strategy, and gives it its weights.

    With fresh_weights it keeps those it is built with, of the seed of this run.

    Args:
        settings: `TrainConfig` whose network is run:PATH.
        synchronized: batch norm over all replicas.

    Returns:
        The network in the current precision, whose noise is that of the seed.
    """
    source = _run(settings).load_classifier().network
    logits = producer(features_and_decisions(source)[0]).operation

    def configure(layer, config):
        full = layer is logits or isinstance(layer, keras.layers.Rescaling)
        return _fitted(config, synchronized, full_precision() if full else None)

    seeds = iter(noise_streams(settings.seed, len(gates(source))))
    return copied(source, configure, seeds=seeds, fresh=settings.fresh_weights)


def pixel_statistics(settings):
    """Returns the mean and std with which the network standardizes pixels."""
    return _run(settings).load_statistics()


def gate_kind(network):
    """Returns the --gate of a network: the kind of its gates, exits left out, or "none".

    Raises:
        UserError: gates of which no --gate is the kind, or of several kinds.
    """
    leaving = exits_of(network)
    kinds = {kind_of(layer.gate) for layer in gates(network) if layer not in leaving}
    if not kinds:
        return "none"
    if len(kinds) > 1 or not kinds <= set(GATES):
        raise UserError(
            f"--network=run:PATH takes gates of one kind, {' or '.join(GATES)}, or none. Received: "
            f"{', '.join(sorted(kinds))}. Prune that run first: python -m tfgates.tools.prune."
        )
    return kinds.pop()


def _run(settings):
    path = pathlib.Path(split(settings.network)[1])
    if path == pathlib.Path() or not path.is_dir():
        raise UserError(
            "--network=run:PATH names the folder of a finished run. "
            f"Received: {settings.network}, which is not a folder. Pass run:runs/NAME."
        )
    return RunFolder(path)


def _fitted(config, synchronized, precision=None):
    """Returns a configuration without the precision and the batch norm of its first run."""
    fitted = {
        key: _fitted(value, synchronized) if isinstance(value, dict) else value
        for key, value in config.items()
        if key != "dtype"
    }
    if "synchronized" in fitted:
        fitted["synchronized"] = synchronized
    return fitted if precision is None else {**fitted, "dtype": precision}
