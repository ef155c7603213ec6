"""One network with random weights, exported in several ways."""

import pathlib

import keras
import numpy as np
import tensorflow as tf
from tfgates.export.network import SkippingNetwork

from tfgates import costs
from tfgates.export.timing import export_with_keras, without_gates
from tfgates.networks import NETWORKS


class Graphs:
    """Exports of one network with random weights, in a folder."""

    def __init__(self, name, size, folder):
        keras.utils.set_random_seed(1)
        self.shape = (size, size, 3)
        classes = 10 if name.startswith("cifar") else 1000
        self.network = randomized(NETWORKS[name](classes, input_shape=self.shape))
        self.costs = costs.count(self.network, self.shape)
        self.plain = without_gates(self.network)
        self.folder = pathlib.Path(folder)

    def by_keras(self, network, name):
        return export_with_keras(network, self.shape, self.folder / name)

    def skipping(self, network, name, **options):
        """Exports the network alone: images and a threshold for each image and gate."""
        module = tf.Module()
        module.network = SkippingNetwork(network, **options)
        gates = module.network.num_gates

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, *self.shape], tf.float32, name="images"),
                tf.TensorSpec([None, gates], tf.float32, name="log_odds"),
            ]
        )
        def serve(images, log_odds):
            valid = tf.ones(tf.shape(images)[:1], tf.bool)
            probabilities, decisions = module.network(images, log_odds, valid)
            return {"probabilities": probabilities, "decisions": decisions}

        module.serve = serve
        path = self.folder / name
        tf.saved_model.save(module, str(path), signatures=serve)
        return path


def randomized(network):
    """Gives a network batch norms and biases that no optimization of zeros can remove."""
    rng = np.random.default_rng(1)
    for weight in network.weights:
        if weight.path.endswith(("moving_mean", "beta", "bias")):
            weight.assign(rng.normal(0, 0.2, weight.shape))
        elif weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    for block in network.blocks:
        # Else the features of a hundred layers grow beyond all numbers.
        block.norm.gamma.assign(rng.uniform(0.1, 0.3, block.norm.gamma.shape))
    return network
