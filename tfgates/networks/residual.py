"""What the residual networks share: stages of gated blocks, and the layers they are made of."""

import keras
import numpy as np

from tfgates.blocks import GatedBlock
from tfgates.gates import GATES, FixedGate, linear_decay
from tfgates.network import GatedNetwork
from tfgates.norms import GatedNormalization

GATE_KINDS = (*GATES, "stochastic_depth", "none")
# What a gate decides on: the branch of a block; groups of the filters of its last layer; or of the
# layer before that, which no shortcut leads around (section S2.3).
GATED = ("blocks", "output_filters", "inner_filters")


def residual_network(
    name,
    stem,
    stages,
    branch,
    num_classes,
    input_shape,
    *,
    gate="dependent",
    gated="blocks",
    filter_groups=4,
    always_open=(),
    last_probability=0.5,
    seed=None,
    synchronized=False,
    statistics=None,
):
    """Builds stem, stages of residual blocks, average pool and classifier.

    Args:
        name: of the network.
        stem: function of synchronized that returns the layers before the first block; what comes
            out of them is not negative.
        stages: list of (number of blocks, width, strides of the first block).
        branch: function of width, strides and synchronized that returns the layers of a branch,
            of which the last is a `GatedNormalization`, and its number of output channels.
        num_classes: number of classes K, at least 2.
        input_shape: (H, W, C) of the images.
        gate: "dependent", "independent", "stochastic_depth" for fixed probabilities that decay
            linearly with the depth, or "none" for the plain network.
        gated: what gates that learn decide on, one of `GATED`.
        filter_groups: of gated filters, the number of their groups in a block, each with a decision
            of its own; at least 2, and divides the filters of every stage.
        always_open: indices of blocks that get no gate.
        last_probability: of stochastic depth, that of the last block, in (0, 1).
        seed: integer that seeds the noise of all gates; None takes one from Python's generator.
        synchronized: batch norm over all replicas instead of over each one's share.
        statistics: mean and std of each channel, on pixels in [0, 1]: the network takes raw
            pixels, 0-255, and standardizes them itself; None takes the images as they are.

    Returns:
        A built `GatedNetwork`. A block that changes the shape of its input has a projection as
        its shortcut, which always runs.

    Raises:
        ValueError: an unknown gate, an index of no block, or groups that do not divide the filters.
    """
    for name_of, value, known in (("gate", gate, GATE_KINDS), ("gated", gated, GATED)):
        if value not in known:
            raise ValueError(f"`{name_of}` is one of {', '.join(known)}. Received: {value!r}.")
    groups = 1 if gated == "blocks" else filter_groups
    first = [] if statistics is None else [_standardization(*statistics)]
    stem = keras.Sequential([*first, *stem(synchronized)], name="stem")
    stem.build((None, *input_shape))
    channels = stem.output_shape[-1]
    noise_seeds = noise_streams(seed, sum(count for count, _, _ in stages))
    if not set(always_open) <= set(range(len(noise_seeds))):
        raise ValueError(
            f"`always_open` are indices below {len(noise_seeds)}. Received: {always_open}."
        )
    plan = [
        (width, first if index == 0 else 1)
        for count, width, first in stages
        for index in range(count)
    ]
    probabilities = linear_decay(len(plan), last_probability)
    blocks = []
    for index, (width, strides) in enumerate(plan):
        layers, outputs = branch(width, strides, synchronized)
        projects = strides > 1 or outputs != channels
        blocks.append(
            GatedBlock(
                **_divided(layers, gated, groups, synchronized),
                shortcut=_projection(outputs, strides, synchronized) if projects else None,
                gate=None
                if index in always_open
                else _gate(gate, groups, synchronized, probabilities[index]),
                seed=noise_seeds[index],
                name=f"block_{index:02d}",
            )
        )
        channels = outputs
    head = [keras.layers.GlobalAveragePooling2D(), _classifier(num_classes)]
    network = GatedNetwork(stem, blocks, keras.Sequential(head, name="head"), name=name)
    network.build((None, *input_shape))
    return network


def conv(width, size, strides=1, padding="same"):
    """A convolution without bias, initialised as He et al. (2015) do."""
    return keras.layers.Conv2D(
        width,
        size,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(
            2.0, mode="fan_out", distribution="untruncated_normal"
        ),
    )


def norm(synchronized):
    """Batch norm with the constants of the published networks."""
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, synchronized=synchronized)


def same_conv(width, size, strides):
    """A convolution that pads as Keras does, as a list of layers."""
    return [conv(width, size, strides)]


def basic_branch(width, strides, synchronized, strided_conv=same_conv):
    """Returns the layers of two 3x3 convolutions, and their number of output channels.

    Args:
        width: filters of both.
        strides: of the first.
        synchronized: see `residual_network`.
        strided_conv: function of width, size and strides that returns the layers of the first.
    """
    return [
        *strided_conv(width, 3, strides),
        norm(synchronized),
        keras.layers.ReLU(),
        conv(width, 3),
        GatedNormalization(synchronized),
    ], width


def _divided(layers, gated, groups, synchronized):
    """Divides the layers of a branch at the norm that multiplies by the decisions."""
    *layers, last = layers
    divided, tail = last, None
    if gated == "inner_filters":
        # The norm before the last convolution, with its ReLU, is gated instead of the last one.
        *layers, _, _, conv = layers
        divided, tail = GatedNormalization(synchronized, relu=True), [conv, last]
    if gated != "blocks" and (groups < 2 or layers[-1].filters % groups):
        raise ValueError(
            f"`filter_groups` is at least 2 and divides the filters, here {layers[-1].filters}. "
            f"Received: filter_groups={groups}."
        )
    return {
        "branch": keras.Sequential(layers, name="branch"),
        "norm": divided,
        "tail": tail and keras.Sequential(tail, name="tail"),
    }


def _standardization(mean, std):
    std = np.asarray(std, "float64")
    scale, offset = 1 / (255 * std), -np.asarray(mean, "float64") / std
    return keras.layers.Rescaling(scale.tolist(), offset.tolist(), dtype=_full_precision())


def _projection(width, strides, synchronized):
    return keras.Sequential([conv(width, 1, strides), norm(synchronized)], name="shortcut")


def _gate(kind, groups, synchronized, probability):
    if kind == "none":
        return None
    if kind == "stochastic_depth":
        return FixedGate(probability)
    if kind == "dependent":
        return GATES[kind](groups=groups, synchronized=synchronized)
    return GATES[kind](groups=groups)


def noise_streams(seed, count):
    """Returns seeds of independent noise, one for each block, the same for the same seed."""
    if seed is None:
        return [None] * count
    return np.random.SeedSequence(seed).generate_state(count) >> 1


def _classifier(num_classes):
    # Class logits stay in float32 under mixed precision, for the softmax.
    return keras.layers.Dense(num_classes, dtype=_full_precision())


def _full_precision():
    return "float64" if keras.config.dtype_policy().compute_dtype == "float64" else "float32"
