"""The residual networks for 32x32 images of He et al. (2015), section 4.2, with gates."""

import keras
import numpy as np

from tfgates.blocks import GatedBlock
from tfgates.gates import GATES
from tfgates.network import GatedNetwork


def cifar_resnet(
    depth,
    num_classes,
    gate="dependent",
    seed=None,
    synchronized=False,
    input_shape=(32, 32, 3),
    widths=(16, 32, 64),
):
    """Builds stem, three stages of (depth - 2) / 6 basic blocks, and head.

    Args:
        depth: number of weight layers, 6 n + 2.
        num_classes: number of classes K, at least 2.
        gate: "dependent", "independent", or "none" for the plain network.
        seed: integer that seeds the noise of all gates; None takes one from Python's generator.
        synchronized: batch norm over all replicas instead of over each one's share.
        input_shape: (H, W, C) of the images.
        widths: filters of the three stages.

    Returns:
        A built `GatedNetwork` with (depth - 2) / 2 blocks.

    Raises:
        ValueError: a depth that is not 6 n + 2, or an unknown gate.
    """
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"`depth` is 6 n + 2: 8, 14, 20, 32, 56, 110. Received: depth={depth}.")
    if gate not in (*GATES, "none"):
        raise ValueError(f"`gate` is one of {', '.join(GATES)}, none. Received: gate={gate!r}.")
    per_stage = (depth - 2) // 6
    blocks: list[GatedBlock] = []
    # One independent stream of noise for each block, the same for the same seed.
    seeds = [None] * 3 * per_stage
    if seed is not None:
        seeds = np.random.SeedSequence(seed).generate_state(3 * per_stage) >> 1
    for stage, width in enumerate(widths):
        for index in range(per_stage):
            downsamples = stage > 0 and index == 0
            strides = 2 if downsamples else 1
            blocks.append(
                GatedBlock(
                    branch=_basic_branch(width, strides, synchronized),
                    shortcut=_projection(width, strides, synchronized) if downsamples else None,
                    gate=_gate(gate, synchronized),
                    seed=seeds[len(blocks)],
                    name=f"block_{len(blocks):02d}",
                )
            )
    stem = keras.Sequential([*_conv_norm(widths[0], 3, 1, synchronized), keras.layers.ReLU()])
    head = keras.Sequential(
        [keras.layers.GlobalAveragePooling2D(), _classifier(num_classes)], name="head"
    )
    network = GatedNetwork(stem, blocks, head, name=f"cifar_resnet{depth}")
    network.build((None, *input_shape))
    return network


def _conv_norm(width, size, strides, synchronized):
    return [
        keras.layers.Conv2D(
            width,
            size,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer=keras.initializers.VarianceScaling(
                2.0, mode="fan_out", distribution="untruncated_normal"
            ),
        ),
        keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, synchronized=synchronized),
    ]


def _basic_branch(width, strides, synchronized):
    return keras.Sequential(
        [
            *_conv_norm(width, 3, strides, synchronized),
            keras.layers.ReLU(),
            *_conv_norm(width, 3, 1, synchronized),
        ],
        name="branch",
    )


def _projection(width, strides, synchronized):
    return keras.Sequential(_conv_norm(width, 1, strides, synchronized), name="shortcut")


def _gate(kind, synchronized):
    if kind == "none":
        return None
    if kind == "dependent":
        return GATES[kind](synchronized=synchronized)
    return GATES[kind]()


def _classifier(num_classes):
    # Class logits stay in float32 under mixed precision, for the softmax; float64 stays float64.
    dtype = "float64" if keras.config.dtype_policy().compute_dtype == "float64" else "float32"
    return keras.layers.Dense(num_classes, dtype=dtype)
