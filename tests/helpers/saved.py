"""Weights before and after, and a network as that of a finished run."""

import numpy as np

from tfgates.network import gates
from tfgates.runs.folder import RunFolder
from tfgates.training.classifier import GatedClassifier


def values(network):
    """Copies the weights of a network, or of a layer."""
    return [np.asarray(weight).copy() for weight in network.weights]


def assert_unchanged(network, before):
    for weight, value in zip(network.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value, weight.path)


def gate_weights(network):
    return [np.asarray(weight).copy() for one in gates(network) for weight in one.gate.weights]


def run(folder, network):
    """Saves the network as that of a finished run."""
    folder.mkdir()
    run = RunFolder(folder)
    run.save_classifier(GatedClassifier(network), run.model)
    return str(folder)
