"""What the residual networks share: stages of residual blocks, and the layers they are made of.

They are plain functional models, which know no gate. The layers of a block are named after it:
`block_03_conv_1`, `block_03_norm_1`, ..., `block_03_project`, `block_03_add`.
"""

import keras
import numpy as np
from keras import layers as L

from tfgates.gates import full_precision


def residual_network(
    name,
    stem,
    stages,
    branch,
    num_classes,
    input_shape,
    *,
    synchronized=False,
    statistics=None,
):
    """Builds stem, stages of residual blocks, average pool and classifier.

    Args:
        name: of the network.
        stem: function of a tensor and synchronized: what comes before the first block.
        stages: list of (number of blocks, width, strides of the first block).
        branch: function of a tensor, width, strides, synchronized and the name of the block: the
            residual function, which ends in a batch norm.
        num_classes: number of classes K, at least 2.
        input_shape: (H, W, C) of the images.
        synchronized: batch norm over all replicas instead of over each one's share.
        statistics: mean and std of each channel, on pixels in [0, 1]: the network takes raw
            pixels, 0-255, and standardizes them itself; None takes the images as they are.

    Returns:
        `keras.Model`, images -> logits [B, K]. A block that changes the shape of its input has a
        projection as its shortcut.
    """
    images = keras.Input(input_shape, name="images")
    x = images if statistics is None else standardization(*statistics)(images)
    x = stem(x, synchronized)
    plan = [
        (width, first if index == 0 else 1)
        for count, width, first in stages
        for index in range(count)
    ]
    for index, (width, strides) in enumerate(plan):
        x = _block(x, branch, width, strides, synchronized, f"block_{index:02d}")
    x = L.GlobalAveragePooling2D(name="average")(x)
    # Class logits stay in float32 under mixed precision, for the softmax.
    logits = L.Dense(num_classes, dtype=full_precision(), name="classifier")(x)
    return keras.Model(images, logits, name=name)


def _block(x, branch, width, strides, synchronized, name):
    """x -> ReLU(shortcut(x) + F(x))."""
    y, shortcut = branch(x, width, strides, synchronized, name), x
    if strides > 1 or y.shape[-1] != x.shape[-1]:
        shortcut = conv(x, y.shape[-1], 1, strides, name=f"{name}_project")
        shortcut = norm(shortcut, synchronized, name=f"{name}_project_norm")
    return L.ReLU(name=f"{name}_relu")(L.Add(name=f"{name}_add")([shortcut, y]))


def conv(x, width, size, strides=1, *, name):
    """A convolution without bias, initialised as He et al. (2015) do, padded evenly.

    With strides, "same" would pad more on the right and bottom than the published networks.
    """
    padding = "same"
    if strides > 1:
        padding = "valid"
        if size > 1:
            x = L.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
    initializer = keras.initializers.VarianceScaling(
        2.0, mode="fan_out", distribution="untruncated_normal"
    )
    layer = L.Conv2D(
        width, size, strides, padding, use_bias=False, kernel_initializer=initializer, name=name
    )
    return layer(x)


def norm(x, synchronized, *, name):
    """Batch norm with the constants of the published networks."""
    return L.BatchNormalization(momentum=0.9, epsilon=1e-5, synchronized=synchronized, name=name)(x)


def chain(x, convolutions, synchronized, name):
    """Convolutions, each with its batch norm, and a ReLU between two of them.

    Args:
        x: features.
        convolutions: list of (width, size, strides).
        synchronized: see `residual_network`.
        name: of the block.
    """
    for number, (width, size, strides) in enumerate(convolutions, 1):
        if number > 1:
            x = L.ReLU(name=f"{name}_relu_{number - 1}")(x)
        x = conv(x, width, size, strides, name=f"{name}_conv_{number}")
        x = norm(x, synchronized, name=f"{name}_norm_{number}")
    return x


def basic_branch(x, width, strides, synchronized, name):
    """Two 3x3 convolutions."""
    return chain(x, [(width, 3, strides), (width, 3, 1)], synchronized, name)


def standardization(mean, std):
    """A layer that takes raw pixels, 0-255, to (pixel / 255 - mean) / std."""
    std = np.asarray(std, "float64")
    scale, offset = 1 / (255 * std), -np.asarray(mean, "float64") / std
    return L.Rescaling(
        scale.tolist(), offset.tolist(), dtype=full_precision(), name="standardization"
    )
