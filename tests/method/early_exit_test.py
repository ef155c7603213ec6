"""The gate of an exit, which is one product at inference; what the target of exits means."""

import keras
import numpy as np
import pytest

from tfgates.early_exit import ExitGate, exit_target
from tfgates.losses import reached
from tfgates.policies import AlwaysClosed, AlwaysOpen, Threshold, WithExits


def trained(gate, features):
    """Returns the gate with weights as after a training."""
    gate.build((None, *features))
    rng = np.random.default_rng(0)
    for weight in gate.weights:
        positive = weight.path.endswith(("gamma", "moving_variance"))
        drawn = (
            rng.uniform(0.5, 1.5, weight.shape) if positive else rng.normal(0, 0.3, weight.shape)
        )
        weight.assign(drawn)
    return gate


# A size that the pool divides, sizes that it does not, and one below it.
@pytest.mark.parametrize("features", [(8, 8, 5), (9, 6, 3), (3, 7, 4)])
def test_an_exit_gate_is_one_product_at_inference(features):
    gate = trained(ExitGate(units=6), features)
    images = np.random.default_rng(1).normal(size=(5, *features)).astype("float32")
    matrix, bias = gate.affine()
    logits = np.asarray(gate(images))
    assert logits.std() > 0.1
    np.testing.assert_allclose(images.reshape(5, -1) @ matrix[:, 0] + bias, logits, atol=1e-4)
    assert gate.multiply_adds((None, *features)) == matrix.size


def test_an_exit_gate_learns_and_uses_the_batch_in_training():
    gate = trained(ExitGate(units=4), (8, 8, 3))
    images = np.random.default_rng(1).normal(3, 2, (16, 8, 8, 3)).astype("float32")
    before = [np.asarray(norm.moving_mean).copy() for norm in gate.norms]
    found = gate(images, training=True)
    assert np.abs(found - gate(images)).max() > 0.1
    for norm, old in zip(gate.norms, before, strict=True):
        assert np.abs(norm.moving_mean - old).max() > 1e-3


def test_a_new_exit_gate_lets_seven_of_ten_images_on():
    keras.utils.set_random_seed(0)
    logits = ExitGate(units=8)(np.random.default_rng(0).normal(size=(8, 8, 8, 3)))
    np.testing.assert_allclose(keras.ops.sigmoid(logits), 0.711, atol=0.01)


def test_the_rate_of_an_exit_is_that_of_the_images_that_arrive():
    """Of ten images three leave at the first exit, and two of the other seven at the second."""
    going_on = np.array([0.7, 0.5], "float32")
    rates = reached(going_on, [None, 0])
    np.testing.assert_allclose(1 - np.asarray(rates), [0.3, 2 / 7], atol=1e-6)
    target = exit_target(0.3)
    assert target.scope == "per_gate"
    np.testing.assert_allclose(target.loss(rates), (0.3 - 2 / 7) ** 2 / 2, atol=1e-7)


@pytest.mark.parametrize(
    ("penalty", "fewer", "more"),
    [
        ("reversed_quadratic", 0.04, 0.0),
        ("constant_quadratic", 0.0, 0.09),
        ("quadratic", 0.04, 0.09),
    ],
)
def test_the_penalty_is_of_leaving(penalty, fewer, more):
    target = exit_target(0.3, penalty)
    for leaving, cost in ((0.3, 0.0), (0.1, fewer), (0.6, more)):
        rates = keras.ops.convert_to_tensor(np.array([1 - leaving]))
        np.testing.assert_allclose(target.loss(rates), cost, atol=1e-9)


def test_each_gate_asks_for_its_policy():
    policy = WithExits(("exit_1",), Threshold(0.2), AlwaysClosed())
    assert policy.of("exit_1") == AlwaysClosed()
    assert policy.of("block_00") == Threshold(0.2)
    assert len({policy, WithExits(("exit_1",), Threshold(0.2), AlwaysOpen())}) == 2


def test_bad_arguments_are_refused_by_name():
    for rate in (1, 1.2, -0.1, [0.3, 1.0]):
        with pytest.raises(ValueError, match=r"leave at an exit, in \[0, 1\)"):
            exit_target(rate)
    with pytest.raises(ValueError, match=r"`penalty` is one of quadratic.*'cubic'"):
        exit_target(0.3, "cubic")
    with pytest.raises(ValueError, match="units=0"):
        ExitGate(units=0)
    with pytest.raises(ValueError, match=r"of one size.*\(None, None, None, 3\)"):
        ExitGate().build((None, None, None, 3))
