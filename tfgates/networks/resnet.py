"""The residual networks for ImageNet, version 1.5: the stride is on the 3x3 convolution.

Layers, shapes and padding are those of TorchVision, whose weights the paper starts from, so that
the same weights give the same logits (`tfgates.networks.pretrained`).
"""

import functools

import keras

from tfgates.networks.residual import basic_branch, conv, norm, residual_network
from tfgates.norms import GatedNormalization

WIDTHS = (64, 128, 256, 512)
EXPANSION = 4
# Blocks of the four stages; whether they are bottlenecks.
DEPTHS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}


def resnet(
    depth,
    num_classes,
    gate="dependent",
    always_open=(),
    seed=None,
    synchronized=False,
    statistics=None,
    input_shape=(224, 224, 3),
):
    """Builds stem, four stages of residual blocks, and head.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_classes: number of classes K, at least 2.
        gate: "dependent", "independent", or "none" for the plain network.
        always_open: indices of blocks that get no gate.
        seed: integer that seeds the noise of all gates; None takes one from Python's generator.
        synchronized: batch norm over all replicas instead of over each one's share.
        statistics: mean and std of each channel, on pixels in [0, 1]: the network takes raw
            pixels, 0-255, and standardizes them itself; None takes the images as they are.
        input_shape: (H, W, C) of the images.

    Returns:
        A built `GatedNetwork` with 8, 16, 16, 33 or 50 blocks.

    Raises:
        ValueError: another depth, or an unknown gate.
    """
    if depth not in DEPTHS:
        raise ValueError(f"`depth` is one of {', '.join(map(str, DEPTHS))}. Received: {depth}.")
    counts, bottleneck = DEPTHS[depth]
    basic = functools.partial(basic_branch, strided_conv=_padded_conv)
    return residual_network(
        f"resnet{depth}",
        stem=[
            *_padded_conv(64, 7, 2),
            norm(synchronized),
            keras.layers.ReLU(),
            # What comes out of a ReLU is not negative, so zeros never win.
            keras.layers.ZeroPadding2D(1),
            keras.layers.MaxPooling2D(3, strides=2),
        ],
        stages=[
            (count, width, 1 if stage == 0 else 2)
            for stage, (count, width) in enumerate(zip(counts, WIDTHS, strict=True))
        ],
        branch=_bottleneck if bottleneck else basic,
        num_classes=num_classes,
        gate=gate,
        always_open=always_open,
        seed=seed,
        synchronized=synchronized,
        statistics=statistics,
        input_shape=input_shape,
    )


def _bottleneck(width, strides, synchronized):
    return [
        conv(width, 1),
        norm(synchronized),
        keras.layers.ReLU(),
        *_padded_conv(width, 3, strides),
        norm(synchronized),
        keras.layers.ReLU(),
        conv(width * EXPANSION, 1),
        GatedNormalization(synchronized),
    ], width * EXPANSION


def _padded_conv(width, size, strides):
    """With strides, "same" would pad more on the right and bottom; TorchVision pads evenly."""
    if strides == 1:
        return [conv(width, size)]
    return [keras.layers.ZeroPadding2D(size // 2), conv(width, size, strides, padding="valid")]
