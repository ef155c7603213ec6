"""The residual networks for 32x32 images of He et al. (2015), section 4.2, with gates."""

import keras

from tfgates.networks.residual import basic_branch, conv, norm, residual_network


def cifar_resnet(
    depth,
    num_classes,
    gate="dependent",
    always_open=(),
    seed=None,
    synchronized=False,
    statistics=None,
    input_shape=(32, 32, 3),
    widths=(16, 32, 64),
):
    """Builds stem, three stages of (depth - 2) / 6 basic blocks, and head.

    Args:
        depth: number of weight layers, 6 n + 2.
        num_classes: number of classes K, at least 2.
        gate: "dependent", "independent", or "none" for the plain network.
        always_open: indices of blocks that get no gate.
        seed: integer that seeds the noise of all gates; None takes one from Python's generator.
        synchronized: batch norm over all replicas instead of over each one's share.
        statistics: mean and std of each channel, on pixels in [0, 1]: the network takes raw
            pixels, 0-255, and standardizes them itself; None takes the images as they are.
        input_shape: (H, W, C) of the images.
        widths: filters of the three stages.

    Returns:
        A built `GatedNetwork` with (depth - 2) / 2 blocks.

    Raises:
        ValueError: a depth that is not 6 n + 2, or an unknown gate.
    """
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"`depth` is 6 n + 2: 8, 14, 20, 32, 56, 110. Received: depth={depth}.")
    per_stage = (depth - 2) // 6
    return residual_network(
        f"cifar_resnet{depth}",
        stem=[conv(widths[0], 3), norm(synchronized), keras.layers.ReLU()],
        stages=[(per_stage, widths[0], 1), (per_stage, widths[1], 2), (per_stage, widths[2], 2)],
        branch=basic_branch,
        num_classes=num_classes,
        gate=gate,
        always_open=always_open,
        seed=seed,
        synchronized=synchronized,
        statistics=statistics,
        input_shape=input_shape,
    )
