"""Shifts the log-odds of all gates by one number, so that they run the share they were to run.

The rate that a training reaches lies beside its target, and that of the threshold beside the
sampled one. A common shift of the log-odds moves all of them together, as another threshold does;
what is shifted needs no threshold but 0.5.
"""

import math

import numpy as np
import tensorflow as tf

from tfgates.network import gates, logits_and_decisions, num_gates
from tfgates.policies import Threshold

# Log-odds: what lies further out is open, or closed, for good.
FURTHEST = 9.0
# As near as two shifts are tried.
NARROWEST = 1e-3


def find_shift(network, batches, target, weights=None, tolerance=0.005, progress=None):
    """Finds the shift with which the gates run a share of the branches, or of the multiply-adds.

    Args:
        network: functional model with `Gated` layers.
        batches: `tf.data.Dataset` of images [B, H, W, C], labels and weights [B]; images of weight
            0 are left out. Choose validation images.
        target: the share, in [0, 1].
        weights: [G], of each gate in the mean, as the multiply-adds of the branches; None weighs
            all alike.
        tolerance: how near it has to come, as a share of the target.
        progress: function called with the number of passes over the images; or None.

    Returns:
        The number to add to all log-odds; the share at the threshold 0.5 before; and after. Of
        independent gates, which open one by one, it is the nearest share that there is.
    """
    if not any(getattr(layer.gate, "data_dependent", True) for layer in gates(network)):
        batches = batches.take(1)

    @tf.function
    def opened(images, kept, tau):
        decisions = logits_and_decisions(network(images, policy=Threshold(tau), training=False))[1]
        return tf.linalg.matvec(decisions, tf.cast(kept, decisions.dtype), transpose_a=True)

    def share(shift):
        tau = tf.constant(1 / (1 + math.exp(shift)), tf.float32)
        total, count = np.zeros(num_gates(network)), 0.0
        for images, _, kept in batches:
            total += opened(images, kept, tau).numpy()
            count += float(tf.reduce_sum(kept))
        return float(np.average(total / count, weights=weights))

    return search(share, target, tolerance, progress)


def search(share, target, tolerance, progress=None):
    """Finds by bisection where an increasing function of the shift comes to a target.

    Args:
        share: function of the shift; it may go up in steps.
        target, tolerance, progress: as of `find_shift`.
    """
    found = {0.0: share(0.0)}
    low, high = sorted((0.0, math.copysign(FURTHEST, target - found[0.0])))
    best = 0.0
    while abs(found[best] - target) > tolerance * target and high - low > NARROWEST:
        shift = (low + high) / 2
        found[shift] = share(shift)
        low, high = (shift, high) if found[shift] < target else (low, shift)
        best = min(found, key=lambda one: (abs(found[one] - target), abs(one)))
        if progress is not None:
            progress(len(found))
    return best, found[0.0], found[best]
