"""Multiply-adds per image, counted from shapes: convolutions and dense layers, nothing else."""

import dataclasses
import math

import keras
import numpy as np

from tfgates.gates import DependentGate, IndependentGate


@dataclasses.dataclass(frozen=True)
class Costs:
    """The multiply-adds of one image through a gated network.

    Attributes:
        always: what runs for every image: stem, shortcuts, head, and branches without a gate.
        gates: of each gate; it runs for every image.
        branches: what a closed decision leaves out of the exported network, [G]: the branch behind
            its gate. A group of filters is left out where that is the same for every image, of
            independent gates; those of dependent ones are computed, and masked. With the last one
            of a block the rest of its branch goes too, which these numbers leave out of account.
        removable: what goes with each decision once it is closed for good, [G].
    """

    always: int
    gates: tuple[int, ...]
    branches: tuple[int, ...]
    removable: tuple[int, ...]

    @property
    def ungated(self):
        """Of the same network without gates, where every branch runs and no gate does."""
        return self.always + sum(self.branches)

    def executed(self, decisions):
        """Of the parts that run under the given decisions.

        Args:
            decisions: [..., G], 1 where the branch runs, or rates in [0, 1] for the mean.

        Returns:
            NumPy float64 [...].
        """
        branches = np.asarray(self.branches, "float64")
        return self.always + sum(self.gates) + np.asarray(decisions, "float64") @ branches


def count(network, input_shape):
    """Counts the multiply-adds of a `GatedNetwork`.

    Args:
        network: the built network.
        input_shape: (H, W, C) of its images.

    Returns:
        `Costs`.
    """
    shape = (1, *input_shape)
    always = multiply_adds(network.stem, shape)
    shape = network.stem.compute_output_shape(shape)
    gates, branches, removable = [], [], []
    for block in network.blocks:
        of_layers = _of_layers(block.layers_of_branch, shape)
        if block.shortcut is not None:
            always += multiply_adds(block.shortcut, shape)
        if block.num_gates == 1 and block.tail is None:
            branches.append(sum(of_layers))
            removable.append(sum(of_layers))
        else:
            shares = _of_groups(block, of_layers)
            left_out = shares if isinstance(block.gate, IndependentGate) else [0] * len(shares)
            always += sum(of_layers) - sum(left_out)
            branches += left_out
            removable += shares
        if block.gate is not None:
            gates.append(multiply_adds(block.gate, shape))
        shape = block.compute_output_shape(shape)
    always += multiply_adds(network.head, shape)
    return Costs(always, tuple(gates), tuple(branches), tuple(removable))


@dataclasses.dataclass(frozen=True)
class BlockCosts:
    """The multiply-adds of one image through the parts of a block: branch, shortcut, gate."""

    branch: int
    shortcut: int
    gate: int


def of_blocks(network, input_shape):
    """Counts the multiply-adds of each block of a `GatedNetwork`.

    Args:
        network: the built network.
        input_shape: (H, W, C) of its images.

    Returns:
        List of `BlockCosts`.
    """
    shape = network.stem.compute_output_shape((1, *input_shape))
    found = []
    for block in network.blocks:
        shortcut, gate = (
            0 if part is None else multiply_adds(part, shape)
            for part in (block.shortcut, block.gate)
        )
        branch = sum(_of_layers(block.layers_of_branch, shape))
        found.append(BlockCosts(branch, shortcut, gate))
        shape = block.compute_output_shape(shape)
    return found


def _of_layers(layers, shape):
    found = []
    for layer in layers:
        found.append(multiply_adds(layer, shape))
        shape = layer.compute_output_shape(shape)
    return found


def _of_groups(block, of_layers):
    """Of each group of filters: its share of the convolutions that write and read them."""
    if not block.num_gates:
        return []
    norm = len(block.branch.layers)
    writing = [macs for macs in of_layers[:norm] if macs][-1:]
    reading = [macs for macs in of_layers[norm:] if macs][:1]
    return [(sum(writing) + sum(reading)) // block.num_gates] * block.num_gates


def multiply_adds(layer, input_shape):
    """Multiply-adds of one layer, or of a chain of layers, for one image.

    Args:
        layer: a built Keras layer; `keras.Sequential` and gates are summed over their layers.
        input_shape: (1, H, W, C) or (1, C).
    """
    if isinstance(layer, keras.Sequential):
        total = 0
        for part in layer.layers:
            total += multiply_adds(part, input_shape)
            input_shape = part.compute_output_shape(input_shape)
        return total
    if isinstance(layer, DependentGate):
        return math.prod(layer.hidden.kernel.shape) + math.prod(layer.off_on.kernel.shape)
    if isinstance(layer, keras.layers.Conv2D):
        _, height, width, _ = layer.compute_output_shape(input_shape)
        return height * width * math.prod(layer.kernel.shape)
    if isinstance(layer, keras.layers.Dense):
        return math.prod(layer.kernel.shape)
    return 0
