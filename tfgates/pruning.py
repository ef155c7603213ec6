"""Pruning: gates that hardly look at the image become structure (section 3.2, mode collapse)."""

import itertools

import numpy as np
import tensorflow as tf

from tfgates.filters import slice_block
from tfgates.gates import FixedGate
from tfgates.network import GatedNetwork
from tfgates.norms import GatedNormalization
from tfgates.policies import Threshold


def prune(network, fixed):
    """Makes decisions for good: closed branches go, open ones lose their gate.

    Where the decisions hold, the smaller network equals the thresholded one. A closed block with an
    identity shortcut goes altogether; one with a projection keeps that alone. Of closed groups of
    filters the convolutions that write and read them are sliced.

    Args:
        network: built `GatedNetwork`; it stays as it is, and shares its layers with the result.
        fixed: decisions, bool by index; the other gates stay, and so do those of which not every
            group of filters is decided.

    Returns:
        A built `GatedNetwork` whose blocks have kept their names.

    Raises:
        ValueError: an index of no gate.
    """
    if not set(fixed) <= set(range(network.num_gates)):
        raise ValueError(
            f"`fixed` has indices of the {network.num_gates} gates. Received: {sorted(fixed)}."
        )
    fixed = fully_decided(network, fixed)
    left = [
        _pruned(block, [fixed.get(index) for index in indices])
        for block, indices in zip(network.blocks, indices_of_gates(network), strict=True)
    ]
    return _chain(network, [block for block in left if block is not None])


def indices_of_gates(network):
    """Returns the indices of the decisions of each block of a network, a list of ranges."""
    ends = np.cumsum([0, *(block.num_gates for block in network.blocks)]).tolist()
    return [range(*pair) for pair in itertools.pairwise(ends)]


def fully_decided(network, fixed):
    """Returns the decisions that `prune` makes: all those of a block, or none.

    Of filters without a shortcut one group stays open, so that all of them are not closed for good.
    """
    made: dict[int, bool] = {}
    for block, indices in zip(network.blocks, indices_of_gates(network), strict=True):
        opened = {index: fixed[index] for index in indices if index in fixed}
        if len(opened) == len(indices) and (block.tail is None or any(opened.values())):
            made |= opened
    return made


def _pruned(block, opened):
    """Returns what is left of a block; None where that is nothing."""
    if not opened or None in opened:
        return block
    if all(opened):
        return block.without_gate()
    if any(opened):
        return slice_block(block, opened)
    if block.shortcut is None:
        # What enters a block went through a ReLU: closed, it is the identity.
        return None
    return block.like(None, None)


def merge_expected(network):
    """Moves the probabilities of stochastic depth into the weights: every branch runs, scaled.

    Args:
        network: built `GatedNetwork`; it stays as it is.

    Returns:
        A `GatedNetwork` without `FixedGate`s that equals the network under `Expected()`; the
        network itself where it has none.
    """
    if not any(isinstance(block.gate, FixedGate) for block in network.blocks):
        return network
    return _chain(network, [_expected(block) for block in network.blocks])


def _expected(block):
    if not isinstance(block.gate, FixedGate):
        return block
    norm = GatedNormalization.from_config(block.norm.get_config())
    norm.build((None, None, None, *block.norm.gamma.shape))
    norm.set_weights(block.norm.get_weights())
    for weight in (norm.gamma, norm.beta):
        weight.assign(weight * block.gate.probability)
    return block.like(block.branch, norm, tail=block.tail)


def _chain(network, blocks):
    chain = GatedNetwork(
        network.stem, blocks, network.head, name=network.name, dtype=network.dtype_policy
    )
    chain.build(network.stem.input_shape)
    return chain


def thresholded_rates(network, batches, tau, progress=None):
    """Measures how often each gate opens at a threshold.

    Args:
        network: built `GatedNetwork`.
        batches: `tf.data.Dataset` of images [B, H, W, C], at least one.
        tau: threshold in (0, 1).
        progress: function called after each batch with the number of images done; or None.

    Returns:
        Rates, float64 [G].
    """
    opened = tf.function(lambda images: network(images, policy=Threshold(tau))[1])
    total, done = np.zeros(network.num_gates), 0
    for images in batches:
        total += opened(images).numpy().sum(axis=0, dtype="float64")
        done += len(images)
        if progress is not None:
            progress(done)
    return total / done


def one_sided(rates, min_rate):
    """Decides the gates that decide alike for nearly all images; an independent one always does.

    Args:
        rates: of each gate, [G], in [0, 1].
        min_rate: share of the images, in [0, 0.5], up to which the rarer decision is ignored.

    Returns:
        Their decision, bool by index of the gate.
    """
    return {
        gate: bool(rate >= 0.5)
        for gate, rate in enumerate(rates)
        if rate <= min_rate or rate >= 1 - min_rate
    }
