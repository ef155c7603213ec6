"""A network of `keras.applications`, gated, and what has to hold of it: tests for a class each."""

import importlib

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from own_models import (
    answers,
    assert_same,
    deciding,
    randomized,
    saved_and_loaded,
    some_decisions,
)

from tfgates.export.skipping import serve
from tfgates.graph.branches import branches
from tfgates.graph.folding import fold
from tfgates.graph.gating import gate
from tfgates.graph.pruning import prune
from tfgates.graph.sinking import sink
from tfgates.network import gates, num_gates
from tfgates.networks.applications import APPLICATIONS
from tfgates.networks.on_pixels import on_pixels
from tfgates.policies import AlwaysOpen

# The smallest images, where they are not of 32 pixels.
SIZES = {"Xception": 71, "InceptionResNetV2": 75}


class Application:
    """One network on raw pixels, plain and gated, with the weights of a trained one.

    Attributes:
        plain, network: without gates and with them, of the same weights.
        keras: as `keras.applications` builds it.
        images: [2, H, W, 3], pixels.
        decisions: random ones, [2, G], for each image its own, and the policy that makes them.
        answered: what they make of the images.
    """

    def __init__(self, name):
        keras.utils.set_random_seed(0)
        size = SIZES.get(name, 32)
        shape = (size, size, 3)
        self.name = name
        self.images = np.random.default_rng(0).uniform(0, 255, (2, *shape)).astype("float32")
        constructor = getattr(keras.applications, name)
        self.keras = randomized(constructor(weights=None, input_shape=shape, classes=10))
        self.plain = on_pixels(self.keras, name, 10, shape, APPLICATIONS[name], False)
        self.network = gate(self.plain, seed=1)
        self.decisions = some_decisions(self.network, count=2)
        self.policy = deciding(self.network, self.decisions)
        self.answered = answers(self.network, self.images, self.policy)


class ApplicationChecks:
    """Tests of a module that has a fixture `case`, an `Application` with its expected branches."""

    def test_branches(self, case):
        application, (_, count, share, first, last) = case
        found = branches(application.plain)
        assert (len(found), found[0].name, found[-1].name) == (count, first, last)
        assert abs(sum(branch.share for branch in found) - share) < 0.0005
        names = [layer.name for layer in gates(application.network)]
        assert names == [branch.name for branch in found]

    def test_it_takes_raw_pixels(self, case):
        application, (module, *_) = case
        preprocess = importlib.import_module(f"keras.applications.{module}").preprocess_input
        expected = application.keras(preprocess(application.images.copy()))
        logits = application.plain(application.images)
        np.testing.assert_allclose(ops.softmax(logits), expected, rtol=1e-4, atol=1e-5)

    def test_all_open_is_the_plain_network(self, case):
        application, _ = case
        expected = np.asarray(application.plain(application.images))
        opened = np.ones((2, num_gates(application.network)))
        received = answers(application.network, application.images, AlwaysOpen())
        assert_same(received, (expected, opened))

    def test_saved_and_loaded_it_is_the_same(self, case, tmp_path):
        application, _ = case
        loaded = saved_and_loaded(application.network, tmp_path)
        received = answers(loaded, application.images, application.policy)
        assert_same(received, application.answered, 1e-6)

    def test_gradients_reach_every_weight(self, case):
        network, images = case[0].network, case[0].images
        weights, before = network.trainable_weights, network.get_weights()
        with tf.GradientTape() as tape:
            outputs = network(images, training=True)
            loss = ops.mean(outputs["logits"] ** 2) + ops.mean(outputs["decisions"])
        pairs = zip(weights, tape.gradient(loss, weights), strict=True)
        # Batch norms have learned from the images.
        network.set_weights(before)
        assert not [weight.path for weight, gradient in pairs if gradient is None]

    def test_folded_and_sunk_it_is_the_same(self, case):
        application, _ = case
        folded = fold(application.network)
        for model in (folded, sink(folded)):
            received = answers(model, application.images, application.policy)
            assert_same(received, application.answered)

    def test_exported_it_is_the_same(self, case):
        application, _ = case
        run = tf.function(serve(application.network, "gather"), autograph=False)
        thresholds = np.where(application.decisions, -1e9, 1e9).astype("float32")
        probabilities, decisions = run(application.images, thresholds, [True, True])
        logits, expected = application.answered
        np.testing.assert_array_equal(decisions, expected)
        np.testing.assert_allclose(probabilities, ops.softmax(logits), atol=1e-5)

    def test_pruned_it_is_the_same(self, case):
        application, _ = case
        network = application.network
        decisions = some_decisions(network, count=2)
        # Of three gates in turn one is open for good, one closed, and one decides.
        decisions[:, 0::3], decisions[:, 1::3] = True, False
        fixed = {column: bool(one) for column, one in enumerate(decisions[0]) if column % 3 < 2}
        live = [column for column in range(num_gates(network)) if column not in fixed]
        before = answers(network, application.images, deciding(network, decisions))
        pruned = prune(network, fixed)
        policy = deciding(pruned, decisions[:, live])
        received = answers(pruned, application.images, policy)
        assert_same(received, (before[0], before[1][:, live]))
        names = [layer.name for layer in gates(pruned)]
        assert names == [layer.name for layer in gates(network)][2::3]
