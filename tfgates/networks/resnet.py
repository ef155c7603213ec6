"""The residual networks for ImageNet, version 1.5: the stride is on the 3x3 convolution.

Layers, shapes and padding are those of TorchVision, whose weights the paper starts from, so that
the same weights give the same logits (`tfgates.networks.pretrained`).
"""

from keras import layers as L

from tfgates.networks.residual import basic_branch, chain, conv, norm, residual_network

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
        **options: synchronized, statistics: see `residual_network`.

    Returns:
        `keras.Model` with 8, 16, 16, 33 or 50 blocks.

    Raises:
        ValueError: another depth.
    """
    if depth not in DEPTHS:
        raise ValueError(f"`depth` is one of {', '.join(map(str, DEPTHS))}. Received: {depth}.")
    counts, bottleneck = DEPTHS[depth]
    stages = [
        (count, width, 1 if width == WIDTHS[0] else 2)
        for count, width in zip(counts, WIDTHS, strict=True)
    ]
    branch = _bottleneck if bottleneck else basic_branch
    return residual_network(
        f"resnet{depth}", _stem, stages, branch, num_classes, input_shape, **options
    )


def _stem(x, synchronized):
    x = norm(conv(x, WIDTHS[0], 7, 2, name="stem_conv"), synchronized, name="stem_norm")
    x = L.ReLU(name="stem_relu")(x)
    # What comes out of a ReLU is not negative, so zeros never win.
    x = L.ZeroPadding2D(1, name="stem_pool_pad")(x)
    return L.MaxPooling2D(3, strides=2, name="stem_pool")(x)


def _bottleneck(x, width, strides, synchronized, name):
    convolutions = [(width, 1, 1), (width, 3, strides), (width * EXPANSION, 1, 1)]
    return chain(x, convolutions, synchronized, name)
