"""The ResNets of He et al. for CIFAR-10 with zero-padded shortcuts, and weights trained by others.

Somebody else's network: a functional model that knows no gate. Where the resolution changes, the
shortcut takes every second pixel in both directions and zeros on both sides of its channels
(option A of He et al., 2016, section 4.2); it has no weights.
"""

import keras
import numpy as np
from keras import layers as L
from keras import ops

from tfgates.base.errors import UserError
from tfgates.networks.residual import basic_branch, conv, norm
from tfgates.networks.torch_file import read_tensors

# Of depth 14 there are no weights: it takes those of the first blocks of depth 20.
FILES = {14: 20, 20: 20, 32: 32, 44: 44, 56: 56}
# With the mean and std of ImageNet, on pixels in [0, 1].
STATISTICS = "imagenet"


def zero_padded_resnet(depth, classes=10, size=32):
    """Builds three stages of (depth - 2) / 6 blocks of two convolutions, of 16, 32 and 64 filters.

    Args:
        depth: 6 n + 2.
        classes: their number.
        size: of the images, in pixels.

    Returns:
        `keras.Model`, standardized images -> logits.
    """
    images = keras.Input((size, size, 3), name="images")
    x = norm(conv(images, 16, 3, name="stem_conv"), False, name="stem_norm")
    x = L.ReLU(name="stem_relu")(x)
    for index in range((depth - 2) // 2):
        stage = index // ((depth - 2) // 6)
        x = _block(x, 16 * 2**stage, f"block_{index:02d}")
    x = L.GlobalAveragePooling2D(name="average")(x)
    logits = L.Dense(classes, name="classifier")(x)
    return keras.Model(images, logits, name=f"zero_padded_resnet{depth}")


def _block(x, width, name):
    shortcut, wider = x, width - x.shape[-1]
    if wider:
        shortcut = L.AveragePooling2D(1, strides=2, name=f"{name}_every_second")(x)
        shortcut = ops.pad(shortcut, [[0, 0], [0, 0], [0, 0], [wider // 2, wider // 2]])
    y = basic_branch(x, width, 2 if wider else 1, False, name)
    return L.ReLU(name=f"{name}_relu")(L.Add(name=f"{name}_add")([shortcut, y]))


def load(model, path):
    """Gives a model the weights of a file; one of fewer blocks takes those that come first.

    Args:
        model: of `zero_padded_resnet`.
        path: of a .safetensors file of conv1.weight, bn1.weight, layer1.0.conv1.weight, ...,
            linear.weight, kernels [out, in, H, W].

    Raises:
        UserError: it cannot be read, or is of another network.
    """
    tensors = read_tensors(path)
    of_stage = sum(layer.name.endswith("_add") for layer in model.layers) // 3
    _convolution(tensors, model, "conv1", "bn1", "stem", "")
    for index in range(3 * of_stage):
        place = f"layer{index // of_stage + 1}.{index % of_stage}."
        for number in ("1", "2"):
            names = f"{place}conv{number}", f"{place}bn{number}"
            _convolution(tensors, model, *names, f"block_{index:02d}", f"_{number}")
    kernel = _taken(tensors, "linear.weight").T
    _assign(model, "classifier", [kernel, _taken(tensors, "linear.bias")])
    others = [name for name in tensors if not name.startswith("layer")]
    if others:
        raise UserError(f"{path} is of another network than {model.name}: it has {min(others)}.")


def _convolution(tensors, model, theirs, their_norm, name, number):
    kernel = np.transpose(_taken(tensors, f"{theirs}.weight"), (2, 3, 1, 0))
    _assign(model, f"{name}_conv{number}", [kernel])
    parts = ("weight", "bias", "running_mean", "running_var")
    values = [_taken(tensors, f"{their_norm}.{part}") for part in parts]
    _assign(model, f"{name}_norm{number}", values)


def _taken(tensors, name):
    if name not in tensors:
        raise UserError(f"The file of weights has no {name}. Name one of a network of this depth.")
    return tensors.pop(name)


def _assign(model, name, values):
    layer = model.get_layer(name)
    shapes = [value.shape for value in values]
    if [tuple(weight.shape) for weight in layer.weights] != shapes:
        raise UserError(
            f"{name} of {model.name} takes {[weight.shape for weight in layer.weights]}. Received: "
            f"{shapes}. Name a file of a network of this depth."
        )
    layer.set_weights(values)
