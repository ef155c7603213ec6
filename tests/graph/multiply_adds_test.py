"""Multiply-adds of layers: as TensorFlow's own profiler counts them, or written out."""

import functools

import keras
import pytest
import tensorflow as tf
from keras import layers as L
from keras import ops
from own_models import OWN
from profiled import profiled

from tfgates.graph.count import count


def of_model(model, size=8):
    """What the profiler counts of one image of a model."""
    shape = [1, *(size if axis is None else axis for axis in model.inputs[0].shape[1:])]
    spec = tf.TensorSpec(shape, model.inputs[0].dtype)
    return profiled(functools.partial(model, training=False), spec)


@pytest.mark.parametrize("name", OWN)
def test_small_models_as_the_profiler_counts(name):
    model = OWN[name]()
    shape = [8 if axis is None else axis for axis in model.inputs[0].shape[1:]]
    assert 2 * count(model, shape).ungated == of_model(model)


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small", "DenseNet121"])
def test_applications_as_the_profiler_counts(name):
    application = getattr(keras.applications, name)
    model = application(weights=None, input_shape=(32, 32, 3), classes=10)
    assert 2 * count(model).ungated == of_model(model)


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
    assert of_model(model) == 2 * expected


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
