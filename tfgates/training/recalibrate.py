"""Measures the moments of batch norm again after training (section 4.1.1)."""

import keras
import tensorflow as tf

from tfgates.graph.nodes import layers_inside


def recalibrate(network, batches, progress=None):
    """Replaces the moving moments of every batch norm by their mean over the batches.

    The paper trains on 200 large batches at learning rate zero. Forward passes do the same: the
    gates sample, no weight moves, and each batch counts alike, not the last ones more. It runs on
    one device.

    Args:
        network: functional model, as it trains: gates sample in training mode.
        batches: `tf.data.Dataset` of batches whose first element is the images.
        progress: function called with the number of batches done; or None.

    Returns:
        The number of batches. Without any, the network stays as it is.
    """
    norms = [
        layer
        for layer in layers_inside(network)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [norm.momentum for norm in norms]
    # moving * k / (k + 1) + batch / (k + 1) is the mean of the first k + 1 batches.
    kept = tf.Variable(0.0, trainable=False, dtype=keras.config.floatx())

    @tf.function
    def forward(images):
        network(images, training=True)

    done = 0
    try:
        for norm in norms:
            norm.momentum = kept
        for images, *_ in batches:
            kept.assign(done / (done + 1))
            forward(images)
            done += 1
            if progress is not None:
                progress(done)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    return done
