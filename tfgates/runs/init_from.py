"""Where a network's first weights come from: TorchVision, or a run of one's own."""

import pathlib
import shlex

import numpy as np

from tfgates.base.errors import UserError
from tfgates.data.preprocess import STATISTICS
from tfgates.networks.pretrained import (
    load_imagenet,
    load_torchvision,
    require_resnet,
    summary,
)
from tfgates.runs.folder import RunFolder

IMAGENET = "imagenet"
TORCHVISION = "torchvision:"


def initialize(network, value):
    """Gives a network trained weights to start from; nothing changes where they do not fit.

    Args:
        network: `GatedNetwork`; may be one of several replicas, inside `strategy.scope()`.
        value: "imagenet", "torchvision:PATH", or the path of a run folder.

    Returns:
        One sentence that says what was loaded and what stays fresh.

    Raises:
        UserError: another value, weights that cannot be read, or those of another network.
    """
    if value == IMAGENET:
        return load_imagenet(network)
    if value.startswith(TORCHVISION):
        return load_torchvision(network, _path(value))
    return _load_run(network, _run_folder(value))


def check(value, network_name):
    """Refuses a value that cannot fit, before anything is built or written.

    Args:
        value: see `initialize`.
        network_name: a key of `tfgates.networks.NETWORKS`.

    Raises:
        UserError: another value, no such file or folder, or a network without such weights.
    """
    if value == IMAGENET or value.startswith(TORCHVISION):
        require_resnet(network_name)
        path = _path(value)
        if value != IMAGENET and not path.is_file():
            raise UserError(
                f"--init_from={value} names no file. Received: {path}. Pass torchvision:PATH of a "
                ".pth or .safetensors file."
            )
    else:
        _run_folder(value).load_data()


def pixel_statistics(value):
    """Returns the mean and std, on pixels in [0, 1], with which the weights were trained.

    A network that starts from them needs its images shifted and scaled in the same way.

    Args:
        value: see `initialize`.

    Returns:
        Mean and std, three numbers each, of red, green and blue.

    Raises:
        UserError: another value, or no run.
    """
    if value == IMAGENET or value.startswith(TORCHVISION):
        return STATISTICS["imagenet"]
    return _run_folder(value).load_statistics()


def _path(value):
    return pathlib.Path(value.removeprefix(TORCHVISION)).expanduser()


def _run_folder(value):
    if not value or not pathlib.Path(value).is_dir():
        raise UserError(
            "`--init_from` is imagenet, torchvision:PATH of a .pth or .safetensors file, or the "
            f"folder runs/NAME of a finished run. Received: {value!r}."
        )
    return RunFolder(value)


def _load_run(network, run):
    folder = run.path
    source = run.load_classifier().network
    if source.name != network.name:
        raise UserError(
            f"{folder} was trained with another network. Received: --network={network.name}. "
            f"Pass --network={source.name}, or name another run."
        )
    if _places(source) != _places(network):
        raise UserError(
            f"{folder} is a pruned network, without some blocks of {network.name}. Pass "
            f"{shlex.quote(f'--network=run:{folder}')} instead of --init_from."
        )
    parts = [(source.stem, network.stem)]
    for theirs, own in zip(source.blocks, network.blocks, strict=True):
        # With gated filters the ReLU is no layer of its own.
        layers = (_with_weights(block.layers_of_branch) for block in (theirs, own))
        parts += zip(*layers, strict=True)
        if own.shortcut is not None:
            parts.append((theirs.shortcut, own.shortcut))
        if theirs.gate is not None:
            _require_same_gates(theirs.gate, own.gate, folder)
            parts.append((theirs.gate, own.gate))
    if source.num_classes == network.num_classes:
        parts.append((source.head, network.head))
    pairs = [
        pair for theirs, own in parts for pair in zip(theirs.weights, own.weights, strict=True)
    ]
    for theirs, own in pairs:
        if theirs.shape != own.shape:
            raise UserError(
                f"{folder} has {theirs.path} of shape {theirs.shape}; this network needs "
                f"{own.shape}. Name a run with the same network and gates."
            )
    for theirs, own in pairs:
        own.assign(np.asarray(theirs))
    fresh_gates = network.num_gates - source.num_gates
    return summary(network, f"the run {folder}", source.num_classes, fresh_gates)


def _with_weights(layers):
    return [layer for layer in layers if layer.weights]


def _places(network):
    return [(block.name, block.branch is None) for block in network.blocks]


def _require_same_gates(theirs, own, folder):
    if type(theirs) is not type(own):
        kinds = [type(gate).__name__ if gate else "no gate" for gate in (theirs, own)]
        raise UserError(
            f"{folder} was trained with another kind of gate: {kinds[0]}, not {kinds[1]}. Pass "
            "the --gate of that run, or name a run with --gate=none."
        )
