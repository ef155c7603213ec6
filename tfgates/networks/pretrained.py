"""Starts a gated ResNet from the weights of TorchVision; its gates start fresh."""

import hashlib
import pathlib

import keras
import numpy as np

from tfgates.base.errors import UserError
from tfgates.graph.copying import named_layers
from tfgates.network import gates, num_classes
from tfgates.networks.resnet import DEPTHS
from tfgates.networks.torch_file import read_tensors

# Trained on ImageNet; the name ends in the first eight digits of the file's SHA-256.
FILES = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet101": "resnet101-63fe2227.pth",
    "resnet152": "resnet152-394f9c45.pth",
}
ADDRESS = "https://download.pytorch.org/models/"
CLASSIFIER = ("fc.weight", "fc.bias")
# Axes of PyTorch's kernels, [O, I, H, W] and [O, I], in the order of Keras.
CONV_AXES = (2, 3, 1, 0)
DENSE_AXES = (1, 0)
LISTED = 4


def load_torchvision(network, path):
    """Assigns the weights of a TorchVision ResNet; nothing is assigned where anything is amiss.

    Args:
        network: one of `resnet`, gated or not. Its gates stay as they are, and its classifier
            where the file has another number of classes.
        path: of a `.safetensors` file, or of what `torch.save` writes of a state dict.

    Returns:
        One sentence that says what was loaded and what stays fresh.

    Raises:
        UserError: another network, or a file that cannot be read or does not fit it.
    """
    table = torchvision_table(network)
    tensors = read_tensors(path)
    # They count training steps; files may have them or not.
    for name in table:
        if name.endswith(".running_mean"):
            tensors.pop(name.replace("running_mean", "num_batches_tracked"), None)
    classes = _classes(tensors, table)
    if classes != num_classes(network):
        for name in CLASSIFIER:
            del table[name], tensors[name]
    _check(network, path, table, tensors)
    for name, (variable, axes) in table.items():
        variable.assign(np.transpose(tensors[name], axes).astype(variable.dtype))
    return summary(network, f"{len(table)} tensors of {path}", classes, len(gates(network)))


def load_imagenet(network):
    """Assigns TorchVision's ImageNet weights of the network, downloaded once.

    Args:
        network: see `load_torchvision`.

    Returns:
        One sentence that says what was loaded and what stays fresh.

    Raises:
        UserError: another network, the file cannot be downloaded, or has another SHA-256.
    """
    require_resnet(network.name)
    file = FILES[network.name]
    by_hand = f"Download {ADDRESS}{file} by hand and pass --init_from=torchvision:PATH."
    try:
        path = pathlib.Path(keras.utils.get_file(file, ADDRESS + file, cache_subdir="models"))
    except Exception as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise UserError(f"ImageNet weights need a download: {reason}. {by_hand}") from error
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    expected = path.stem.split("-")[1]
    if not digest.startswith(expected):
        path.unlink()
        raise UserError(
            f"The SHA-256 of {file} starts with {expected}; that of the download is {digest}, so "
            f"it was deleted. Run again, or: {by_hand}"
        )
    return load_torchvision(network, path)


def torchvision_table(network):
    """Maps TorchVision's names to the variables of a ResNet, gates left out.

    Args:
        network: one of `resnet`, gated or not.

    Returns:
        dict of name -> (variable, order of the tensor's axes in Keras).

    Raises:
        UserError: another network.
    """
    require_resnet(network.name)
    counts, bottleneck = DEPTHS[int(network.name.removeprefix("resnet"))]
    places = [
        f"layer{stage}.{index}."
        for stage, count in enumerate(counts, start=1)
        for index in range(count)
    ]
    layers = named_layers(network)
    table = _tensors(layers, "conv1", "bn1", "stem_conv", "stem_norm")
    for number, place in enumerate(places):
        block, down = f"block_{number:02d}", place + "downsample."
        for index in (1, 2, 3) if bottleneck else (1, 2):
            theirs = f"{place}conv{index}", f"{place}bn{index}"
            table |= _tensors(layers, *theirs, f"{block}_conv_{index}", f"{block}_norm_{index}")
        if f"{block}_project" in layers:
            ours = f"{block}_project", f"{block}_project_norm"
            table |= _tensors(layers, down + "0", down + "1", *ours)
    classifier = layers["classifier"]
    table["fc.weight"] = (classifier.kernel, DENSE_AXES)
    table["fc.bias"] = (classifier.bias, (0,))
    return table


def summary(network, loaded, classes, fresh_gates):
    """Says in one sentence what was loaded and what stays fresh.

    Args:
        network: where the weights are now.
        loaded: what was loaded.
        classes: number of classes of the source.
        fresh_gates: number of gates that were not loaded.
    """
    fresh = [f"{fresh_gates} gates"] if fresh_gates else []
    if classes != num_classes(network):
        fresh.append(f"the classifier ({classes} classes there, {num_classes(network)} here)")
    return f"{network.name} starts from {loaded}; fresh: {' and '.join(fresh) or 'nothing'}."


def _tensors(layers, conv, norm, own_conv, own_norm):
    """The tensors of a convolution and its batch norm, by TorchVision's names."""
    own = layers[own_norm]
    return {
        f"{conv}.weight": (layers[own_conv].kernel, CONV_AXES),
        f"{norm}.weight": (own.gamma, (0,)),
        f"{norm}.bias": (own.beta, (0,)),
        f"{norm}.running_mean": (own.moving_mean, (0,)),
        f"{norm}.running_var": (own.moving_variance, (0,)),
    }


def require_resnet(name):
    """Refuses the name of a network of which TorchVision has no weights."""
    if name not in FILES:
        raise UserError(
            f"TorchVision has weights of {', '.join(FILES)}. Received: --network={name}. "
            "Pass one of them, or --init_from=runs/NAME of a run with the same network."
        )


def _classes(tensors, table):
    """The number of classes of a file whose classifier fits but for that, else the network's."""
    weight, bias = (np.shape(tensors.get(name)) for name in CLASSIFIER)
    features, classes = table["fc.weight"][0].shape
    if len(weight) == 2 and weight[1] == features and bias == weight[:1]:
        return weight[0]
    return classes


def _check(network, path, table, tensors):
    """Refuses tensors that are not, one for one, those of the table."""
    complaints = {
        "missing": [name for name in table if name not in tensors],
        "unknown": [name for name in tensors if name not in table],
        "of another shape": [
            f"{name} {array.shape}, not {_shape(*table[name])}"
            for name, array in tensors.items()
            if name in table and array.shape != _shape(*table[name])
        ],
    }
    if any(complaints.values()):
        listed = "; ".join(
            f"{len(names)} {what}: {', '.join(names[:LISTED])}{', ...' * (len(names) > LISTED)}"
            for what, names in complaints.items()
            if names
        )
        raise UserError(
            f"{path} does not hold the tensors of TorchVision's {network.name}: {listed}. Name a "
            "file of this network, or pass the --network of the file."
        )


def _shape(variable, axes):
    """The shape in PyTorch's order of the axes."""
    return tuple(variable.shape[axis] for axis in np.argsort(axes))
