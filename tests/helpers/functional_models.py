"""Functional models of every kind that the export meets: small, random, with gates of all kinds."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers as L
from keras import ops

from tfgates.gated import Gated, joined
from tfgates.gates import DependentGate, IndependentGate
from tfgates.network import Network, columns

SHAPE = (8, 8, 3)
CLASSES = 5


def convolved(x, width, **options):
    return L.BatchNormalization()(L.Conv2D(width, 3, **{"padding": "same", **options})(x))


def model(start, *outputs):
    return keras.Model(start, outputs[0] if len(outputs) == 1 else list(outputs))


def network(images, x, decisions):
    """Ends a network in an average and a classifier."""
    logits = L.Dense(CLASSES)(L.GlobalAveragePooling2D()(x))
    return Network(images, {"logits": logits, "decisions": joined(decisions)})


def classifier(shape):
    start = keras.Input(shape)
    x = L.ReLU()(convolved(start, 8, strides=2))
    return model(start, L.Dense(CLASSES)(L.GlobalAveragePooling2D()(x)))


def going_on(shape):
    """A gate that is a functional model, logits [B, 1]."""
    start = keras.Input(shape)
    x = L.ReLU()(convolved(start, 8))
    return model(start, L.Dense(1)(L.GlobalAveragePooling2D()(x)))


def residual(x, gate, branch, project=False):
    """ReLU(x + z * branch(x)); returns it and the decisions."""
    start = keras.Input(x.shape[1:])
    features, opened = Gated(model(start, branch(start)), gate)(x)
    shortcut = convolved(x, x.shape[-1]) if project else x
    return L.ReLU()(L.Add()([shortcut, features])), opened


def plain_branch(x):
    return convolved(L.ReLU()(convolved(x, 16)), x.shape[-1])


def exits():
    """Three exits, one inside of the other; before each a dense layer, concatenated."""

    def rest(shape, depth):
        start = keras.Input(shape)
        inside = keras.Input(shape)
        layer = Gated(model(inside, L.Conv2D(8, 3, padding="same")(inside)), DependentGate())
        features, opened = layer(start)
        x = L.ReLU()(L.BatchNormalization()(L.Concatenate()([start, features])))
        decisions = [opened]
        if depth == 2:
            x = L.Dense(CLASSES)(L.GlobalAveragePooling2D()(x))
        else:
            arms = rest(x.shape[1:], depth + 1), classifier(x.shape[1:])
            layer = Gated(arms[0], going_on(x.shape[1:]), arms[1], name=f"exit_{depth}")
            x, opened = layer(x)
            decisions.append(opened)
        return model(start, x, joined(decisions))

    images = keras.Input(SHAPE)
    x = L.ReLU()(convolved(images, 8))
    layer = Gated(rest(x.shape[1:], 1), going_on(x.shape[1:]), classifier(x.shape[1:]), name="exit")
    logits, decisions = layer(x)
    return Network(images, {"logits": logits, "decisions": decisions})


def residuals():
    """Identities and a projection, whose averages the next gates read; a gate in a gate."""
    images = keras.Input(SHAPE)
    x = L.ReLU()(convolved(images, 8))
    x, first = residual(x, DependentGate(), plain_branch)
    x, second = residual(x, DependentGate(), plain_branch, project=True)
    start, inside = keras.Input(x.shape[1:]), keras.Input(x.shape[1:])
    y, inner = Gated(model(inside, plain_branch(inside)), DependentGate())(start)
    y = L.Add()([start, y])
    features, third = Gated(model(start, convolved(y, 8), inner), DependentGate())(x)
    x = L.ReLU()(L.Add()([x, features]))
    x, last = residual(x, IndependentGate(), plain_branch)
    return network(images, x, [first, second, third, last])


def groups():
    """Groups of filters: at the end of a branch, and before its last layer, of which one stays."""
    images = keras.Input(SHAPE)
    x = L.ReLU()(convolved(images, 8))
    x, first = residual(x, DependentGate(groups=4), plain_branch)
    x, second = residual(x, DependentGate(), plain_branch)
    start = keras.Input(x.shape[1:])
    layer = Gated(model(start, convolved(start, 12)), DependentGate(groups=3), keep_one=True)
    features, third = layer(x)
    x = L.ReLU()(L.Add()([x, convolved(L.ReLU()(features), 8)]))
    return network(images, x, [first, second, third])


@keras.saving.register_keras_serializable(package="tests")
class Dense(L.Layer):
    """A layer of one's own, which is called as one of Keras and does something else."""

    multiply_adds = 0

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], initializer="random_normal")

    def call(self, inputs):
        return ops.sin(inputs * (1 + self.scale))


@keras.saving.register_keras_serializable(package="tests")
class Standardized(L.Conv2D):
    """A convolution that does more than the one that it is made of."""

    def call(self, inputs):
        kernel = self.kernel - ops.mean(self.kernel, axis=(0, 1, 2))
        return ops.conv(inputs, kernel, padding="same")


@keras.saving.register_keras_serializable(package="tests")
class MaximumGate(L.Layer):
    """A gate of one's own, logits [B]."""

    multiply_adds = 0

    def build(self, shape):
        self.weight = self.add_weight(shape=shape[-1:], initializer="random_normal")

    def call(self, inputs):
        return ops.sum(ops.max(inputs, axis=(1, 2)) * self.weight, axis=-1)


def custom_layers():
    """Layers and gates that no rule knows, and operations with numbers in them."""

    def branch(x):
        y = Dense()(L.LayerNormalization()(x))
        y = L.Conv2D(8, 1, activation=L.LeakyReLU(0.1))(y)
        y = L.BatchNormalization()(Standardized(8, 3, padding="same", use_bias=False)(y))
        return L.Conv2D(8, 1, activation=tf.nn.elu)(L.PReLU()(y)) * 0.5

    images = keras.Input(SHAPE)
    x = L.Dense(8, activation="gelu")(images / 2 - 1)
    start, steps = keras.Input(x.shape[1:]), keras.Input(x.shape[1:])
    inner = keras.Sequential([L.Conv2D(8, 1), L.BatchNormalization(), L.Activation("silu")])
    x, first = residual(x, MaximumGate(), branch)
    x, second = residual(x, going_on(x.shape[1:]), lambda x: inner(x))
    x, third = residual(x, DependentGate(), lambda x: squeezed(x))
    x = keras.Model(start, L.ReLU(6.0)(start) - 0.5)(x)
    x = model(steps, ops.concatenate([steps, ops.ones((1, 8, 8, 1)) * steps[..., :1]], -1))(x)
    return network(images, x, [first, second, third])


def squeezed(x):
    """Squeeze and excitation."""
    y = L.GlobalAveragePooling2D(keepdims=True)(x)
    y = L.Conv2D(8, 1, activation="sigmoid")(L.Conv2D(4, 1, activation="relu")(y))
    return L.Multiply()([x, y])


def convolutions():
    """Convolutions of all kinds, with a batch norm behind them and zeros before."""

    def branch(x):
        y = L.ReLU()(convolved(L.ZeroPadding2D(2)(x), 16, padding="valid", dilation_rate=2))
        y = L.ReLU(6.0)(convolved(y, 16, groups=16))
        y = L.ReLU()(convolved(y, 32, groups=16))
        y = L.ReLU()(convolved(y, 16, groups=4))
        y = L.DepthwiseConv2D(3, padding="valid")(L.ZeroPadding2D(((0, 2), (1, 1)))(y))
        y = L.ReLU()(L.BatchNormalization()(y))
        y = L.DepthwiseConv2D(3, padding="same", dilation_rate=2, depth_multiplier=2)(y)
        return L.BatchNormalization()(L.SeparableConv2D(8, 3, padding="same")(y))

    images = keras.Input(SHAPE)
    x = L.MaxPooling2D(2, 1, padding="same")(L.ReLU()(convolved(images, 8)))
    x, first = residual(x, DependentGate(), branch)
    x = L.AveragePooling2D(3, 2, padding="same")(x)
    x, second = residual(x, DependentGate(), plain_branch)
    return network(images, x, [first, second])


MODELS = {one.__name__: one for one in (residuals, exits, groups, custom_layers, convolutions)}


def randomized(model, seed=0):
    """Moves batch norms, biases and gates, so that nothing is 0 that TensorFlow could leave out."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.path.endswith(("moving_mean", "beta", "bias")):
            weight.assign(rng.normal(0, 0.2, weight.shape))
        elif weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif "off_on" in weight.path:
            weight.assign(rng.normal(0, 0.5, weight.shape))
    return model


class Thresholds:
    """Opens each gate of each image where its logit is greater than a number of their own.

    Args:
        network: `Network`.
        log_odds: [B, G].
    """

    def __init__(self, network, log_odds):
        # The one way of a policy to know which gate it decides for.
        self.draws = {name: log_odds[:, slice_] for name, slice_ in columns(network).items()}

    def __call__(self, logits, noise):
        return ops.cast(logits > ops.reshape(noise(logits), ops.shape(logits)), "float32")
