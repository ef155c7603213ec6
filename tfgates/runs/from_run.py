"""--network=run:PATH: the network of another run, to be trained further or, with new weights, anew.

Its structure is read from its model file, so that a pruned network keeps what pruning left of it.
"""

import pathlib

import keras
import numpy as np

from tfgates.base.errors import UserError
from tfgates.gates import GATES
from tfgates.networks.residual import noise_streams
from tfgates.runs.folder import RunFolder
from tfgates.settings.network import split

# These layers compute in float32 whatever the precision of the run, see `tfgates.networks`.
FULL_PRECISION = ("Dense", "Rescaling")


def check(settings, num_classes):
    """Refuses settings that the network does not fit, before anything is built or written.

    Args:
        settings: `TrainConfig` whose network is run:PATH.
        num_classes: of the data set.

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
    if network.num_classes != num_classes:
        raise UserError(
            f"--network={settings.network} knows {network.num_classes} classes. Received: "
            f"--dataset={settings.dataset} with {num_classes}. Choose a data set with as many, or "
            "--init_from, which starts a new classifier."
        )


def load(settings, synchronized):
    """Builds the network anew for this run, under the current strategy, and gives it its weights.

    With fresh_weights it keeps those it is built with, of the seed of this run.

    Args:
        settings: `TrainConfig` whose network is run:PATH.
        synchronized: batch norm over all replicas.

    Returns:
        `GatedNetwork` in the current precision, whose noise is that of the seed.
    """
    source = _run(settings).load_classifier().network
    serialized = _fitted(keras.saving.serialize_keras_object(source), synchronized)
    blocks = serialized["config"]["blocks"]
    for block, stream in zip(blocks, noise_streams(settings.seed, len(blocks)), strict=True):
        block["config"]["seed"] = int(stream)
    network = keras.saving.deserialize_keras_object(serialized)
    network.build(source.stem.input_shape)
    if settings.fresh_weights:
        return network
    for own, theirs in zip(network.weights, source.weights, strict=True):
        own.assign(np.asarray(theirs))
    for block in network.blocks:
        if block.noise is not None:
            block.noise.state.assign([block.noise.seed, 0])
    return network


def pixel_statistics(settings):
    """Returns the mean and std with which the network standardizes pixels."""
    return _run(settings).load_statistics()


def gate_kind(network):
    """Returns the --gate of a network: the kind of its gates, which is one, or "none".

    Raises:
        UserError: gates that learn nothing.
    """
    gates = [block.gate for block in network.blocks if block.gate is not None]
    if not gates:
        return "none"
    for name, kind in GATES.items():
        if isinstance(gates[0], kind):
            return name
    raise UserError(
        f"--network=run:PATH takes gates that learn, {' or '.join(GATES)}, or none. Received: "
        f"{type(gates[0]).__name__}. Prune that run first: python -m tfgates.tools.prune."
    )


def _run(settings):
    path = pathlib.Path(split(settings.network)[1])
    if path == pathlib.Path() or not path.is_dir():
        raise UserError(
            "--network=run:PATH names the folder of a finished run. "
            f"Received: {settings.network}, which is no folder. Pass run:runs/NAME."
        )
    return RunFolder(path)


def _fitted(config, synchronized):
    """Returns a serialized network without the precision and the batch norm of its first run."""
    if isinstance(config, list):
        # `keras.Sequential` makes its input layers anew.
        kept = [
            item
            for item in config
            if not (isinstance(item, dict) and item.get("class_name") == "InputLayer")
        ]
        return [_fitted(item, synchronized) for item in kept]
    if not isinstance(config, dict):
        return config
    fitted = {key: _fitted(value, synchronized) for key, value in config.items()}
    if "synchronized" in fitted:
        fitted["synchronized"] = synchronized
    if isinstance(fitted.get("config"), dict) and fitted.get("class_name") not in FULL_PRECISION:
        fitted["config"].pop("dtype", None)
    return fitted
