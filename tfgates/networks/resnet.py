"""The residual networks for ImageNet, version 1.5: the stride is on the 3x3 convolution.

Layers, shapes and padding are those of TorchVision, whose weights the paper starts from, so that
the same weights give the same logits (`tfgates.networks.pretrained`).
"""

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


def resnet(depth, num_classes, input_shape=(224, 224, 3), **options):
    """Builds stem, four stages of residual blocks, and head.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_classes: number of classes K, at least 2.
        input_shape: (H, W, C) of the images.
        **options: gate, gated, filter_groups, always_open, last_probability, seed, synchronized,
            statistics: see `residual_network`.

    Returns:
        A built `GatedNetwork` with 8, 16, 16, 33 or 50 blocks.

    Raises:
        ValueError: another depth, or an unknown gate.
    """
    if depth not in DEPTHS:
        raise ValueError(f"`depth` is one of {', '.join(map(str, DEPTHS))}. Received: {depth}.")
    counts, bottleneck = DEPTHS[depth]
    stages = [
        (count, width, 1 if width == WIDTHS[0] else 2)
        for count, width in zip(counts, WIDTHS, strict=True)
    ]
    branch = _bottleneck if bottleneck else _basic
    return residual_network(
        f"resnet{depth}", _stem, stages, branch, num_classes, input_shape, **options
    )


def _stem(synchronized):
    return [
        *_padded_conv(WIDTHS[0], 7, 2),
        norm(synchronized),
        keras.layers.ReLU(),
        # What comes out of a ReLU is not negative, so zeros never win.
        keras.layers.ZeroPadding2D(1),
        keras.layers.MaxPooling2D(3, strides=2),
    ]


def _basic(width, strides, synchronized):
    return basic_branch(width, strides, synchronized, strided_conv=_padded_conv)


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
