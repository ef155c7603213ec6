"""Targets as descriptions: which gates are theirs, what they cost, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import exits_network, small_network

import tfgates
from tfgates.losses import per_batch, per_gate, reached
from tfgates.network import columns, decision_names, parents, take_policy
from tfgates.policies import AlwaysOpen, Threshold
from tfgates.targets import Target

COLUMNS = {"layer_1": slice(0, 1), "layer_2": slice(1, 5), "exit": slice(5, 6)}
RATES = np.array([0.2, 0.9, 0.4])


@pytest.mark.parametrize(
    ("gates", "own"),
    [
        (None, [0, 1, 2, 3, 4, 5]),
        ("layer*", [0, 1, 2, 3, 4]),
        ("exit", [5]),
        (["exit", "layer_2"], [1, 2, 3, 4, 5]),
    ],
)
def test_its_gates_are_those_that_its_patterns_fit(gates, own):
    assert Target(gates=gates).columns(COLUMNS) == own


def test_its_loss_is_that_of_its_scope():
    expected = 2.0 * float(per_gate(RATES, 0.5))
    assert float(Target(0.5, "per_gate", weight=2.0).loss(RATES)) == pytest.approx(expected)
    expected = float(per_batch(RATES, 0.5, weights=np.array([1.0, 2.0, 3.0])))
    assert float(Target(0.5, weights=[1, 2, 3]).loss(RATES)) == pytest.approx(expected)
    several = np.array([0.1, 0.2, 0.3])
    expected = float(per_gate(RATES, several))
    assert float(Target(several, "per_gate").loss(RATES)) == pytest.approx(expected)
    free = Target(0.9, "per_gate", "constant_quadratic")
    assert float(free.loss(RATES)) == pytest.approx(0)


def test_a_schedule_moves_its_rate_and_mixes_its_scope():
    target = Target(0.5)
    moved = float(target.loss(RATES, rate=np.array([0.2, 0.2, 0.2]), share=0.25))
    expected = 0.25 * per_batch(RATES, 0.2) + 0.75 * per_gate(RATES, 0.2)
    assert moved == pytest.approx(float(expected))


def test_a_saved_target_is_the_same():
    for target in (Target(), Target([0.1, 0.2], "per_gate", gates=["a*", "b"], weights=[1, 2])):
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(target))
        assert again == target


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 40}, "in .0, 1.*rate=40.*0.4"),
        ({"rate": [0.5, -0.1]}, "in .0, 1.*-0.1"),
        ({"rate": float("nan")}, "rate=nan"),
        ({"scope": "per_layer"}, "`scope` is one of per_batch, per_gate.*per_layer"),
        ({"penalty": "cubic"}, "`penalty`.*reversed_quadratic.*cubic"),
        ({"weight": -1}, "`weight`.*-1"),
        ({"weights": [1, -2, 3]}, "none negative.*-2"),
        ({"weights": [0, 0, 0]}, "not all 0"),
    ],
)
def test_arguments_out_of_their_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Target(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gates": "lair*"}, "'lair.', which fits none of layer_1, layer_2, exit"),
        ({"gates": ["exit", "layers"]}, "'layers'"),
        ({"rate": [0.5, 0.5], "gates": "layer*"}, r"`rate`.*each of the 5 gates.*\[0.5, 0.5\]"),
        ({"weights": [1, 2]}, r"`weights`.*each of the 6 gates.*\[1.0, 2.0\]"),
    ],
)
def test_what_does_not_fit_the_gates_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Target(**arguments).columns(COLUMNS)


def test_rates_inside_of_a_gate_are_of_the_images_that_reach_it():
    rates = tf.Variable([0.5, 0.4, 0.1, 0.8])
    with tf.GradientTape() as tape:
        found = reached(rates, [None, 0, 1, None])
    np.testing.assert_allclose(found, [0.5, 0.8, 0.25, 0.8], rtol=1e-6)
    # What reaches an inner gate is taken as given: its target does not move the outer one.
    expected = [1, 1 / 0.5, 1 / 0.4, 1]
    np.testing.assert_allclose(tape.gradient(found, rates), expected, rtol=1e-5)


def test_no_image_reaches_what_is_behind_a_closed_gate():
    rates = tf.Variable([0.0, 0.0])
    with tf.GradientTape() as tape:
        found = reached(rates, [None, 0])
    np.testing.assert_array_equal(found, [0, 0])
    assert np.isfinite(tape.gradient(found, rates)).all()


def test_rates_beside_each_other_stay_as_they_are():
    assert reached(RATES, [None] * 3) is RATES


def test_the_gates_of_nested_exits_know_the_one_around_them():
    network = exits_network()
    assert decision_names(network) == ["exit_1", "exit_2"]
    assert parents(network) == [None, 0]
    assert parents(small_network()) == [None] * 3
    assert parents(small_network("none")) == []


def test_groups_of_filters_are_named_one_by_one():
    plain = small_network("none")
    network = tfgates.gate(plain, where="block_01", gated="output_filters", groups=2)
    assert decision_names(network) == ["block_01/0", "block_01/1"]
    assert columns(network) == {"block_01": slice(0, 2)}


def test_the_gates_of_a_model_inside_of_a_plain_one_are_found_and_handed_the_policy():
    network = small_network()
    pixels = keras.Input((8, 8, 3))
    around = take_policy(keras.Model(pixels, network(keras.layers.Rescaling(1 / 255)(pixels))))
    assert columns(around) == columns(network)
    images = np.random.default_rng(0).random((4, 8, 8, 3), "float32")
    for policy in (AlwaysOpen(), Threshold(0.999)):
        np.testing.assert_allclose(
            around(255 * images, policy=policy)["logits"],
            network(images, policy=policy)["logits"],
            atol=1e-5,
        )
    assert np.mean(around(images, policy=AlwaysOpen())["decisions"]) == 1
    assert np.mean(around(images, policy=Threshold(0.999))["decisions"]) == 0


def test_two_gates_of_one_name_are_refused():
    network, pixels = exits_network(), keras.Input((8, 8, 3))
    first, second = network(pixels), network(1 - pixels)
    decisions = keras.ops.concatenate([first["decisions"], second["decisions"]], axis=-1)
    twice = keras.Model(pixels, {"logits": first["logits"], "decisions": decisions})
    with pytest.raises(ValueError, match="two with the name 'exit_1'"):
        columns(twice)


def test_several_groups_around_gates_are_refused():
    features = keras.Input((4, 4, 16))
    inner = keras.Model(features, keras.layers.Conv2D(16, 1)(features))
    then = keras.Model(features, tfgates.Gated(inner, tfgates.DependentGate())(features))
    with pytest.raises(ValueError, match="a gate of 2 groups around gates"):
        tfgates.Gated(then, tfgates.DependentGate(groups=2))


def pulled(target, steps=3000):
    """The mean rate of gates that labels pull open with a slope of 0.5, and a target draws back."""
    odds, multiplier = tf.Variable([2.0, 1.0, 3.0]), tf.Variable([0.0])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            rates = tf.sigmoid(odds)
            loss = target.loss(rates, multiplier=multiplier) - 0.5 * tf.reduce_mean(rates)
        odds.assign_sub(3.0 * tape.gradient(loss, odds))
        multiplier.assign(target.follow(multiplier, target.excess(rates, target.rate)))

    for _ in range(steps):
        step()
    return float(tf.reduce_mean(tf.sigmoid(odds))), float(multiplier[0])


def test_a_multiplier_reaches_what_a_fixed_weight_does_not():
    # Of weight 4 the slope is 8 times the excess: it stops 0.5 / 8 above.
    assert pulled(Target(0.6, weight=4.0))[0] == pytest.approx(0.6625, abs=1e-4)
    rate, multiplier = pulled(Target(0.6, weight="auto"))
    assert rate == pytest.approx(0.6, abs=3e-3)
    assert multiplier == pytest.approx(0.5, abs=0.02)


def test_a_multiplier_costs_and_follows_the_excess():
    rates, weights = tf.constant([0.2, 0.9]), (1.0, 3.0)
    batch = Target(0.5, weight="auto", weights=weights)
    excess = (0.2 * 1 + 0.9 * 3) / 4 - 0.5
    np.testing.assert_allclose(batch.excess(rates, 0.5), [excess], rtol=1e-6)
    expected = 4 * excess**2 + 0.3 * excess
    np.testing.assert_allclose(batch.loss(rates, multiplier=[0.3]), expected, rtol=1e-6)
    np.testing.assert_allclose(batch.loss(rates), 4 * excess**2, rtol=1e-6)
    gate = Target(0.5, "per_gate", weight="auto")
    expected = 4 * (0.3**2 + 0.4**2) / 2 + (0.3 * -0.3 + 0.1 * 0.4) / 2
    np.testing.assert_allclose(gate.loss(rates, multiplier=[0.3, 0.1]), expected, rtol=1e-5)
    followed = gate.follow(tf.constant([0.3, 0.1]), gate.excess(rates, 0.5))
    np.testing.assert_allclose(followed, [0.297, 0.104], rtol=1e-5)
    for penalty, expected in (
        ("constant_quadratic", [0, 0.01]),
        ("reversed_quadratic", [-0.01, 0]),
    ):
        one_sided = Target(0.5, "per_gate", penalty, weight="auto")
        followed = one_sided.follow(tf.zeros(2), tf.constant([-1.0, 1.0]))
        np.testing.assert_allclose(followed, expected, rtol=1e-5)
    with pytest.raises(ValueError, match=r"auto, or not negative.*much"):
        Target(weight="much")
