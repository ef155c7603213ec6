"""Whatever a functional model is made of: its export equals the masked model, however it skips."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from functional_models import MODELS, SHAPE, Thresholds, randomized

from tfgates.export.skipping import SKIPS, serve
from tfgates.gated import num_gates

IMAGES = 12


@functools.cache
def masked(name):
    """A network, images, thresholds of each gate for each, and what Keras makes of them."""
    keras.utils.set_random_seed(1)
    network, rng = randomized(MODELS[name]()), np.random.default_rng(6)
    images = rng.normal(0, 1, (IMAGES, *SHAPE)).astype("float32")
    log_odds = rng.normal(-0.5, 2.5, (IMAGES, num_gates(network))).astype("float32")
    outputs = network(images, policy=Thresholds(network, log_odds))
    probabilities = keras.ops.softmax(outputs["logits"]).numpy()
    return network, images, log_odds, probabilities, outputs["decisions"].numpy() > 0.5


# How an image is skipped makes no difference to where the weights stand.
@pytest.mark.parametrize(
    ("skip", "weights"), [*((skip, "const") for skip in SKIPS), ("gather", "variables")]
)
@pytest.mark.parametrize("name", MODELS)
def test_skipped_equals_masked(name, skip, weights):
    network, images, log_odds, probabilities, decisions = masked(name)
    place = np.asarray if weights == "const" else tf.Variable
    specs = [
        tf.TensorSpec([None, *SHAPE], tf.float32),
        tf.TensorSpec([None, num_gates(network)], tf.float32),
        tf.TensorSpec([None], tf.bool),
    ]
    run = tf.function(serve(network, skip, place), specs, autograph=False)
    valid = np.arange(IMAGES) != 3
    for chosen in (np.arange(IMAGES), [0], [3]):
        answer = run(*map(tf.constant, (images[chosen], log_odds[chosen], valid[chosen])))
        expected = (part[chosen] * valid[chosen][:, None] for part in (probabilities, decisions))
        for ours, theirs in zip(answer, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_every_gate_opens_for_some_images_and_closes_for_others(name):
    """Otherwise the comparison with the masked network would show little."""
    *_, probabilities, decisions = masked(name)
    assert ((decisions.mean(0) > 0) & (decisions.mean(0) < 1)).all()
    assert probabilities.max(1).mean() < 0.8
    assert probabilities.std(0).mean() > 0.02
