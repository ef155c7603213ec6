"""Where a network's first weights come from: TorchVision, or a run of one's own."""

import pathlib
import shlex

import numpy as np

from tfgates.base.errors import UserError
from tfgates.data.preprocess import STATISTICS
from tfgates.graph.copying import named_layers
from tfgates.graph.nodes import producer
from tfgates.graph.outputs import features_and_decisions
from tfgates.network import gates, num_classes, num_gates
from tfgates.networks.applications import APPLICATIONS, load_application
from tfgates.networks.pretrained import (
    load_imagenet,
    load_torchvision,
    require_resnet,
    summary,
)
from tfgates.runs.folder import RunFolder
from tfgates.settings.network import KERAS as OF_KERAS
from tfgates.settings.network import split

IMAGENET = "imagenet"
TORCHVISION, KERAS = "torchvision:", "keras:"


def initialize(network, value):
    """Gives a network trained weights to start from; nothing changes where they do not fit.

    Args:
        network: gated or not; may be one of several replicas, inside `strategy.scope()`.
        value: "imagenet", "torchvision:PATH", "keras:PATH", or the path of a run folder.

    Returns:
        One sentence that says what was loaded and what stays fresh.

    Raises:
        UserError: another value, weights that cannot be read, or those of another network.
    """
    if network.name in APPLICATIONS and (value == IMAGENET or value.startswith(KERAS)):
        layers, classes = load_application(network, _keras_file(value))
        return summary(network, f"{layers} layers of {value}", classes, len(gates(network)))
    if value == IMAGENET:
        return load_imagenet(network)
    if value.startswith(TORCHVISION):
        return load_torchvision(network, _path(value))
    return _load_run(network, _run_folder(value))


def check(value, network):
    """Refuses a value that cannot fit, before anything is built or written.

    Args:
        value: see `initialize`.
        network: that of the flag --network.

    Raises:
        UserError: another value, no such file or folder, or a network without such weights.
    """
    kind, network_name = split(network)
    if kind == OF_KERAS and (value == IMAGENET or value.startswith(KERAS)):
        if value != IMAGENET and not pathlib.Path(_keras_file(value)).is_file():
            raise UserError(
                f"--init_from={value} names no file. Pass keras:PATH of a file of Keras's weights."
            )
    elif value == IMAGENET or value.startswith(TORCHVISION):
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


def _keras_file(value):
    """Returns what Keras takes for its weights: "imagenet", or a path."""
    path = value.removeprefix(KERAS)
    return value if value == IMAGENET else str(pathlib.Path(path).expanduser())


def _path(value):
    return pathlib.Path(value.removeprefix(TORCHVISION)).expanduser()


def _run_folder(value):
    if not value or not pathlib.Path(value).is_dir():
        raise UserError(
            "`--init_from` is imagenet, torchvision:PATH of a .pth or .safetensors file, "
            "keras:PATH of Keras's weights for --network=keras:NAME, or the folder runs/NAME of a "
            f"finished run. Received: {value!r}."
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
    _require_same_gates(source, network, folder)
    theirs, own = named_layers(source), named_layers(network)
    names = [name for name, layer in own.items() if layer.weights]
    if num_classes(source) != num_classes(network):
        names.remove(_classifier(network).name)
    if not gates(source):
        names = [name for name in names if name not in {one.gate.name for one in gates(network)}]
    if any(name not in theirs for name in names) or len(gates(source)) not in (
        0,
        len(gates(network)),
    ):
        raise UserError(
            f"{folder} is a pruned network, without some layers of {network.name}. Pass "
            f"{shlex.quote(f'--network=run:{folder}')} instead of --init_from."
        )
    pairs = [
        pair for name in names for pair in zip(theirs[name].weights, own[name].weights, strict=True)
    ]
    for source_weight, weight in pairs:
        if source_weight.shape != weight.shape:
            raise UserError(
                f"{folder} has {source_weight.path} of shape {source_weight.shape}; this network "
                f"needs {weight.shape}. Name a run with the same network and gates."
            )
    for source_weight, weight in pairs:
        weight.assign(np.asarray(source_weight))
    fresh = num_gates(network) - num_gates(source)
    return summary(network, f"the run {folder}", num_classes(source), fresh)


def _classifier(network):
    """Returns the layer that makes the logits."""
    return producer(features_and_decisions(network)[0]).operation


def _require_same_gates(source, network, folder):
    kinds = [sorted({type(one.gate).__name__ for one in gates(part)}) for part in (source, network)]
    if kinds[0] and kinds[0] != kinds[1]:
        names = [", ".join(kind) or "no gate" for kind in kinds]
        raise UserError(
            f"{folder} was trained with another kind of gate: {names[0]}, not {names[1]}. Pass "
            "the --gate of that run, or name a run with --gate=none."
        )
