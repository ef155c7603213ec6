"""How often each gate opens at a threshold."""

import numpy as np
import tensorflow as tf

from tfgates.losses import reached
from tfgates.network import logits_and_decisions, num_gates, parents, thresholds


def thresholded_rates(network, batches, tau, progress=None):
    """Measures how often each gate opens at a threshold.

    Args:
        network: functional model with `Gated` layers.
        batches: `tf.data.Dataset` of images [B, H, W, C], at least one.
        tau: threshold in (0, 1), of the layers; that of exits is 0.5.
        progress: function called after each batch with the number of images done; or None.

    Returns:
        Rates, float64 [G], each over the images that reach the gate.
    """

    @tf.function
    def opened(images):
        return logits_and_decisions(network(images, policy=thresholds(network, tau)))[1]

    total, done = np.zeros(num_gates(network)), 0
    for images in batches:
        total += opened(images).numpy().sum(axis=0, dtype="float64")
        done += len(images)
        if progress is not None:
            progress(done)
    return np.asarray(reached(total / done, parents(network)))
