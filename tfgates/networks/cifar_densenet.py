"""The densely connected networks for 32x32 images of Huang et al. (2017), sections 3 and 4.2."""

import keras
from keras import layers as L

from tfgates.gates import full_precision
from tfgates.networks.residual import conv, norm, standardization

BLOCKS, BOTTLENECK, COMPRESSION = 3, 4, 0.5


def cifar_densenet(
    depth, num_classes, input_shape=(32, 32, 3), *, growth=12, synchronized=False, statistics=None
):
    """Builds DenseNet-BC: stem, three dense blocks of (depth - 4) / 6 layers, and head.

    A layer adds its channels to all that came before it, `block_1_layer_01_concat`; behind the
    first two blocks half of the channels go on, at half the resolution, `transition_1_pool`.

    Args:
        depth: number of weight layers, 6 n + 4.
        num_classes: number of classes K, at least 2.
        input_shape: (H, W, C) of the images.
        growth: channels that a layer adds (k).
        synchronized, statistics: see `residual_network`.

    Returns:
        `keras.Model`, images -> logits [B, K], with (depth - 4) / 2 layers that a gate may close.

    Raises:
        ValueError: a depth that is not 6 n + 4.
    """
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"`depth` is 6 n + 4: 16, 40, 100. Received: depth={depth}.")
    images = keras.Input(input_shape, name="images")
    x = images if statistics is None else standardization(*statistics)(images)
    x = conv(x, 2 * growth, 3, name="stem_conv")
    for block in range(1, BLOCKS + 1):
        for number in range(1, (depth - 4) // 6 + 1):
            name = f"block_{block}_layer_{number:02d}"
            added = _layer(x, growth, synchronized, name)
            x = L.Concatenate(name=f"{name}_concat")([x, added])
        if block < BLOCKS:
            x = _activated(
                x, int(COMPRESSION * x.shape[-1]), 1, synchronized, f"transition_{block}"
            )
            x = L.AveragePooling2D(2, name=f"transition_{block}_pool")(x)
    x = L.ReLU(name="head_relu")(norm(x, synchronized, name="head_norm"))
    x = L.GlobalAveragePooling2D(name="average")(x)
    # Class logits stay in float32 under mixed precision, for the softmax.
    logits = L.Dense(num_classes, dtype=full_precision(), name="classifier")(x)
    return keras.Model(images, logits, name=f"cifar_densenet{depth}")


def block_ends(depth):
    """Returns the names of the layers in which the blocks end that others follow."""
    return tuple(f"block_{block}_layer_{(depth - 4) // 6:02d}_concat" for block in range(1, BLOCKS))


def _layer(x, growth, synchronized, name):
    """What a dense layer adds: a bottleneck of 1x1, then 3x3."""
    x = _activated(x, BOTTLENECK * growth, 1, synchronized, f"{name}_1")
    return _activated(x, growth, 3, synchronized, f"{name}_2")


def _activated(x, width, size, synchronized, name):
    """Batch norm, ReLU, convolution."""
    x = L.ReLU(name=f"{name}_relu")(norm(x, synchronized, name=f"{name}_norm"))
    return conv(x, width, size, name=f"{name}_conv")
