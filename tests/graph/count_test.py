"""Multiply-adds: as TensorFlow's own profiler counts them, and linear in the decisions."""

import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L
from keras import ops
from own_models import OWN, any_size, residual_cnn, table

from tfgates.gated import Gated
from tfgates.gates import DependentGate, IndependentGate
from tfgates.graph.count import count, count_parameters
from tfgates.graph.gating import gate
from tfgates.network import Network
from tfgates.stochastic_depth import FixedGate

PRODUCTS = ("Conv2D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2")


def profiled(model, size=8):
    """Counts the operations of one image in convolutions and matrix products, by TensorFlow."""
    shape = [1, *(size if axis is None else axis for axis in model.inputs[0].shape[1:])]
    spec = tf.TensorSpec(shape, model.inputs[0].dtype)
    graph = tf.function(functools.partial(model, training=False)).get_concrete_function(spec).graph
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    profile = tf.compat.v1.profiler.profile(graph, cmd="scope", options=options)
    kinds = {one.name: one.type for one in graph.get_operations()}

    def operations(node):
        own = node.float_ops if kinds.get(node.name) in PRODUCTS else 0
        return own + sum(map(operations, node.children))

    # The profiler has no rule for these.
    einsums = [one for one in graph.get_operations() if one.type == "Einsum"]
    return operations(profile) + sum(map(of_einsum, einsums))


def of_einsum(operation):
    """Each axis of both inputs is run through: two operations."""
    sizes = {}
    equation = operation.get_attr("equation").decode().split("->")[0].split(",")
    for axes, tensor in zip(equation, operation.inputs, strict=True):
        sizes |= dict(zip(axes, tensor.shape, strict=True))
    return 2 * math.prod(sizes.values())


@pytest.mark.parametrize("name", OWN)
def test_small_models_as_the_profiler_counts(name):
    model = OWN[name]()
    shape = [8 if axis is None else axis for axis in model.inputs[0].shape[1:]]
    assert 2 * count(model, shape).ungated == profiled(model)


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small", "DenseNet121"])
def test_applications_as_the_profiler_counts(name):
    application = getattr(keras.applications, name)
    model = application(weights=None, input_shape=(32, 32, 3), classes=10)
    assert 2 * count(model).ungated == profiled(model)


def on_sequence(x):
    x = L.Conv1D(8, 3, strides=2)(L.SeparableConv1D(8, 3)(x))
    x = L.EinsumDense("abc,cd->abd", output_shape=(2, 4))(x)
    return L.Dense(3)(x)


def on_images(x):
    x = L.SeparableConv2D(8, 3)(L.Reshape((4, 4, 4))(x))
    return L.DepthwiseConv2D((1, 2), depth_multiplier=2)(x)


def of_products(x):
    return ops.matmul(x, ops.transpose(x, (0, 2, 1)))


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (on_sequence, 6 * (3 * 8 + 8 * 8) + 2 * (3 * 8 * 8 + 8 * 4 + 4 * 3)),
        (on_images, 4 * (9 * 4 + 4 * 8) + 2 * 1 * 2 * 16),
        (of_products, 8 * 8 * 8),
    ],
)
def test_multiply_adds_written_out(build, expected):
    x = keras.Input((8, 8))
    model = keras.Model(x, build(x))
    assert count(model).ungated == expected
    assert profiled(model) == 2 * expected


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (L.Conv2D(8, 3, groups=4), 36 * 9 * 8),
        (L.Conv2DTranspose(6, 3, strides=2), 64 * 9 * 4 * 6),
    ],
)
def test_convolutions_that_the_profiler_does_not_count(layer, expected):
    x = keras.Input((8, 8, 4))
    assert count(keras.Model(x, layer(x))).ungated == expected


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


class Mixing(L.Layer):
    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], input_shape[-1]))

    def call(self, inputs):
        return ops.matmul(inputs, self.kernel)

    def compute_output_shape(self, input_shape):
        return input_shape


class Number(Mixing):
    multiply_adds = 5


class Function(Mixing):
    def multiply_adds(self, input_shape):
        return input_shape[-1] ** 2


def test_a_layer_without_a_rule_says_its_own_multiply_adds():
    x = keras.Input((8,))
    with pytest.raises(TypeError, match=r"Mixing 'mine'. .*attribute `multiply_adds`: a number"):
        count(keras.Model(x, Mixing(name="mine")(x)))
    assert count(keras.Model(x, Number()(x))).ungated == 5
    assert count(keras.Model(x, Function()(x))).ungated == 64


@pytest.mark.parametrize(
    "product",
    [
        lambda x: L.Dot(1)([x, x]),
        lambda x: ops.einsum("ab,ab->a", x, x),
        lambda x: ops.tensordot(x, x, 2),
        lambda x: L.LSTM(4)(ops.expand_dims(x, 1)),
        lambda x: L.Bidirectional(L.GRU(4))(ops.expand_dims(x, 1)),
        lambda x: L.TimeDistributed(L.Dense(4))(ops.expand_dims(x, 1)),
        lambda x: L.Attention()([ops.expand_dims(x, 1)] * 2),
    ],
)
def test_products_without_a_rule(product):
    x = keras.Input((8,))
    with pytest.raises(TypeError, match="No rule counts the multiply-adds of"):
        count(keras.Model(x, product(x)))


def test_norms_and_tables_are_free():
    words = keras.Input((6,), dtype="int32")
    x = L.LayerNormalization()(L.Embedding(9, 8)(words))
    x = L.PReLU(shared_axes=[1])(L.GroupNormalization(2)(x)) * 2.0
    assert count(keras.Model(words, x)).ungated == 0


def test_parameters_are_those_that_train():
    plain = residual_cnn()
    # Two moments of each of the channels that are normalized.
    assert count_parameters(plain) == plain.count_params() - 2 * (8 + 16 + 16)
    network = gate(plain)
    # Kernel and bias of both dense layers, scale and shift of the norm.
    of_gates = sum((c * 16 + 16) + 2 * 16 + (16 * 2 + 2) for c in (8, 16))
    assert count_parameters(network) == count_parameters(plain) + of_gates
