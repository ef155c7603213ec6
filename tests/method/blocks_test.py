"""Blocks: identities of closed, open and scaled branches."""

import keras
import numpy as np
import pytest
from examples import randomize, small_network

from tfgates.policies import AlwaysOpen, Expected, Sample, Threshold


@pytest.fixture
def features():
    return np.random.default_rng(0).random((6, 8, 8, 16), "float32")


def block_with_log_odds(log_odds, index=0):
    block = randomize(small_network("independent")).blocks[index]
    block.gate.log_odds.assign(log_odds)
    return block


def branch_of(block, features):
    """The residual function without a decision."""
    return block.norm(block.branch(features))


def test_a_closed_identity_block_is_exactly_the_identity(features):
    outputs, decisions = block_with_log_odds(-1.0)(features, policy=Threshold())
    np.testing.assert_array_equal(outputs, features)
    np.testing.assert_array_equal(decisions, np.zeros(6))


def test_a_closed_projection_block_is_its_shortcut(features):
    block = block_with_log_odds(-1.0, index=1)
    outputs, _ = block(features, policy=Threshold())
    np.testing.assert_array_equal(outputs, keras.ops.relu(block.shortcut(features)))
    assert outputs.shape == (6, 4, 4, 32)


def test_an_open_block_equals_the_block_without_gate(features):
    block = block_with_log_odds(0.0)
    opened, _ = block(features, policy=AlwaysOpen())
    np.testing.assert_allclose(opened, keras.ops.relu(features + branch_of(block, features)))


def test_images_of_a_batch_open_and_close_on_their_own(features):
    block = block_with_log_odds(0.0)
    outputs, decisions = block(features, policy=Sample())
    assert 0 < decisions.numpy().sum() < 6
    for image, opened in enumerate(decisions.numpy()):
        branch = opened * branch_of(block, features)[image]
        np.testing.assert_allclose(
            outputs[image], np.maximum(features[image] + branch, 0), atol=1e-6
        )


def test_expected_is_stochastic_depth_at_test_time(features):
    import keras_cv

    block = block_with_log_odds(np.log(0.8 / 0.2))
    scaled, decisions = block(features, policy=Expected())
    np.testing.assert_allclose(decisions, np.full(6, 0.8), rtol=1e-6)
    reference = keras_cv.layers.StochasticDepth(rate=0.2)
    expected = keras.ops.relu(reference([features, branch_of(block, features)], training=False))
    np.testing.assert_allclose(scaled, expected, atol=1e-6)
