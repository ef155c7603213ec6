"""Multiply-adds of a network: its parts, its gates, linear in the decisions."""

import keras
import numpy as np
import pytest
from keras import layers as L
from own_models import any_size, residual_cnn, table

from tfgates.gated import Gated
from tfgates.gates import DependentGate, IndependentGate
from tfgates.graph.count import count, count_parameters
from tfgates.graph.gating import gate
from tfgates.network import Network
from tfgates.stochastic_depth import FixedGate


def test_the_parts_of_a_gated_network():
    network = gate(residual_cnn())
    counted, plain = count(network), count(residual_cnn())
    down, second = 4 * 4 * 9 * (8 + 16) * 16, 4 * 4 * 9 * 16 * 16
    assert counted.branches == counted.removable == (down, second)
    assert counted.gates == (8 * 16 + 16 * 2) + (16 * 16 + 16 * 2)
    assert counted.ungated == plain.ungated == counted.always + down + second
    np.testing.assert_array_equal(
        counted.executed([[0, 0], [0, 1], [0.5, 0.25]]),
        counted.always + counted.gates + np.array([0, second, down / 2 + second / 4]),
    )
    assert (plain.gates, plain.branches) == (0, ())
    assert plain.executed(np.zeros((3, 0))).tolist() == [plain.always] * 3


def test_groups_are_left_out_where_the_decision_is_the_same_for_all_images():
    for gated in ("output_filters", "inner_filters"):
        independent, dependent = (
            count(gate(residual_cnn(), kind, "down", gated=gated, groups=4))
            for kind in ("independent", "dependent")
        )
        first, second = 4 * 4 * 9 * 8 * 16, 4 * 4 * 9 * 16 * 16
        both = second if gated == "output_filters" else first + second
        assert dependent.removable == independent.removable == (both // 4,) * 4
        assert (dependent.branches, independent.branches) == ((0,) * 4, independent.removable)
        assert dependent.ungated == independent.ungated == count(residual_cnn()).ungated


def test_images_of_any_size():
    for model in (any_size(), gate(any_size())):
        with pytest.raises(ValueError, match=r"any_size takes inputs of any size.*input_shape=\("):
            count(model)
    plain, network = count(any_size(), (8, 8, 3)), count(gate(any_size()), (8, 8, 3))
    branch = 8 * 8 * 9 * 8 * 8
    assert network.branches == (branch,)
    assert plain.ungated == network.ungated == branch + 8 * 8 * 9 * 3 * 8 + 80
    assert count(any_size(), (4, 8, 3)).ungated - 80 == (plain.ungated - 80) // 2


def test_a_layer_that_makes_any_size():
    x = keras.Input((8, 8))
    y = L.EinsumDense("abc,cd->abd", output_shape=(None, 4), name="mine")(x)
    with pytest.raises(
        ValueError, match=r"mine makes is not known before it runs, \(None, None, 4"
    ):
        count(keras.Model(x, y))


def test_a_model_inside_that_takes_any_size():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, any_size()(L.MaxPooling2D()(inputs)))
    assert count(model).ungated == count(any_size(), (4, 4, 3)).ungated


def two_exits(size=8):
    """Each gate goes on with the rest, or leaves with a classifier of its own."""
    start = keras.Input((size,))
    inner = Gated(
        keras.Model(start, L.Dense(3, name="end")(L.Dense(32, activation="relu")(start))),
        DependentGate(units=4),
        keras.Model(start, L.Dense(3, name="second_exit")(start)),
        name="second",
    )
    x = rows = keras.Input((size,))
    x = L.Dense(size, activation="relu", name="middle")(x)
    logits, decisions = inner(x)
    outer = Gated(
        keras.Model(rows, [logits, decisions]),
        DependentGate(units=4),
        keras.Model(rows, L.Dense(3, name="first_exit")(rows)),
        name="first",
    )
    inputs = keras.Input((size,))
    logits, decisions = outer(L.Dense(size, activation="relu", name="stem")(inputs))
    return Network(inputs, {"logits": logits, "decisions": decisions})


def test_nested_exits_are_linear_in_the_decisions():
    network = two_exits()
    counted, of_a_gate = count(network), 8 * 4 + 4 * 2
    stem, exits, middle, end = 64, 24, 64, 8 * 32 + 32 * 3
    for decisions, ran in (
        ((0, 0), exits),
        ((1, 0), middle + of_a_gate + exits),
        ((1, 1), middle + of_a_gate + end),
    ):
        assert counted.executed(decisions) == stem + of_a_gate + ran
    assert counted.ungated == stem + middle + end
    assert counted.gates == of_a_gate


def test_a_gate_says_what_it_costs_or_is_counted():
    class Own(L.Layer):
        multiply_adds = 7

        def call(self, inputs):
            return inputs[:, 0]

    class OfShape(Own):
        def multiply_adds(self, input_shape):
            return 3 * input_shape[-1]

    features = keras.Input((16,))
    functional = keras.Model(features, L.Dense(1)(L.Dense(5)(features)))
    for make, each in (
        (lambda branch: Own(), 7),
        (lambda branch: OfShape(), 48),
        (lambda branch: functional, 16 * 5 + 5),
        (lambda branch: IndependentGate(), 0),
        (lambda branch: FixedGate(0.5), 0),
    ):
        assert count(gate(table(), make, where="layer_1")).gates == each


def test_parameters_are_those_that_train():
    plain = residual_cnn()
    # Two moments of each of the channels that are normalized.
    assert count_parameters(plain) == plain.count_params() - 2 * (8 + 16 + 16)
    network = gate(plain)
    # Kernel and bias of both dense layers, scale and shift of the norm.
    of_gates = sum((c * 16 + 16) + 2 * 16 + (16 * 2 + 2) for c in (8, 16))
    assert count_parameters(network) == count_parameters(plain) + of_gates
