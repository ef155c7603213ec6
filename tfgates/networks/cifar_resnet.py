"""The residual networks for 32x32 images of He et al. (2015), section 4.2."""

from keras import layers as L

from tfgates.networks.residual import basic_branch, conv, norm, residual_network

WIDTHS = (16, 32, 64)


def cifar_resnet(depth, num_classes, input_shape=(32, 32, 3), **options):
    """Builds stem, three stages of (depth - 2) / 6 basic blocks, and head.

    Args:
        depth: number of weight layers, 6 n + 2.
        num_classes: number of classes K, at least 2.
        input_shape: (H, W, C) of the images.
        **options: synchronized, statistics: see `residual_network`.

    Returns:
        `keras.Model` with (depth - 2) / 2 blocks.

    Raises:
        ValueError: a depth that is not 6 n + 2.
    """
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"`depth` is 6 n + 2: 8, 14, 20, 32, 56, 110. Received: depth={depth}.")
    per_stage = (depth - 2) // 6
    stages = [(per_stage, width, 1 if width == WIDTHS[0] else 2) for width in WIDTHS]
    return residual_network(
        f"cifar_resnet{depth}", _stem, stages, basic_branch, num_classes, input_shape, **options
    )


def _stem(x, synchronized):
    x = norm(conv(x, WIDTHS[0], 3, name="stem_conv"), synchronized, name="stem_norm")
    return L.ReLU(name="stem_relu")(x)
