"""One network with random weights, exported in several ways."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from tfgates.export.skipping import serve
from tfgates.export.timing import export_with_keras, without_gates
from tfgates.graph.count import count
from tfgates.graph.gating import gate
from tfgates.graph.nodes import producer
from tfgates.graph.outputs import features_and_decisions
from tfgates.network import gates, num_gates
from tfgates.networks import NETWORKS

# Before the name of a model of keras.applications.
OF_KERAS = "keras:"


class Graphs:
    """Exports of one gated network with random weights, in a folder.

    Args:
        described: NAME:PIXELS of a network, or keras:NAME:PIXELS of one of keras.applications.
        folder: of the exports.
    """

    def __init__(self, described, folder):
        keras.utils.set_random_seed(1)
        name, size = described.rsplit(":", 1)
        self.shape = (int(size), int(size), 3)
        self.network = randomized(gate(plain_network(name, self.shape), seed=1))
        self.costs = count(self.network)
        self.plain = without_gates(self.network)
        self.folder = pathlib.Path(folder)

    def by_keras(self, network, name):
        return export_with_keras(network, self.shape, self.folder / name)

    def skipping(self, network, name, skip):
        """Exports the network alone: images and a threshold for each image and gate."""
        module, run = tf.Module(), serve(network, skip)

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, *self.shape], tf.float32, name="images"),
                tf.TensorSpec([None, num_gates(network)], tf.float32, name="log_odds"),
            ]
        )
        def classify(images, log_odds):
            valid = tf.ones(tf.shape(images)[:1], tf.bool)
            probabilities, decisions = run(images, log_odds, valid)
            return {"probabilities": probabilities, "decisions": decisions}

        module.classify = classify
        path = self.folder / name
        tf.saved_model.save(module, str(path), signatures=classify)
        return path


def is_network(name):
    """Whether a name is that of a network, or keras: and one of keras.applications."""
    return name in NETWORKS or (
        name.startswith(OF_KERAS) and hasattr(keras.applications, name.removeprefix(OF_KERAS))
    )


def plain_network(name, shape):
    """Returns a network without gates, by its name."""
    if name.startswith(OF_KERAS):
        build = getattr(keras.applications, name.removeprefix(OF_KERAS))
        return build(weights=None, input_shape=shape)
    return NETWORKS[name](10 if name.startswith("cifar") else 1000, input_shape=shape)


def randomized(network):
    """Gives a network batch norms and biases that no optimization of zeros can remove."""
    rng = np.random.default_rng(1)
    for weight in network.weights:
        if weight.path.endswith(("moving_mean", "beta", "bias")):
            weight.assign(rng.normal(0, 0.2, weight.shape))
        elif weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    for layer in gates(network):
        last = producer(features_and_decisions(layer.then)[0]).operation
        if isinstance(last, keras.layers.BatchNormalization):
            # Else the features of a hundred layers grow beyond all numbers.
            last.gamma.assign(rng.uniform(0.1, 0.3, last.gamma.shape))
    return network
