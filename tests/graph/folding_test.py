"""Models for the export: batch norms in kernels, sums in the arms of gates, the same answers."""

import keras
import numpy as np
import pytest
from folded import all_kinds, assert_folded_and_sunk, kinds
from keras import layers as L
from own_models import (
    OWN,
    answers,
    assert_same,
    deciding,
    inputs_of,
    nested,
    randomized,
    residual_cnn,
    some_decisions,
)

from tfgates.graph.folding import fold
from tfgates.graph.gating import gate
from tfgates.graph.nodes import graph_of, nodes
from tfgates.graph.sinking import sink
from tfgates.network import Network
from tfgates.policies import Expected


@pytest.mark.parametrize("kind", ["dependent", "independent"])
@pytest.mark.parametrize("name", OWN)
def test_small_models_answer_the_same(name, kind):
    assert_folded_and_sunk(gate(randomized(OWN[name]()), kind, seed=1))


@pytest.mark.parametrize("gated", ["output_filters", "inner_filters"])
def test_groups_answer_the_same(gated):
    network = gate(randomized(residual_cnn()), where="down", gated=gated, groups=4, seed=1)
    folded, _ = assert_folded_and_sunk(network)
    assert "BatchNormalization" not in all_kinds(folded)


def test_probabilities_answer_the_same_folded():
    network = randomized(gate(randomized(residual_cnn()), seed=1))
    inputs = inputs_of(network)
    folded, before = (answers(one, inputs, Expected()) for one in (fold(network), network))
    for one, other in zip(folded, before, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_plain_models_answer_the_same():
    for plain in (randomized(nested()), randomized(residual_cnn())):
        folded = fold(plain)
        assert not isinstance(folded, Network)
        assert not [node for node in nodes(folded) if graph_of(node.operation)]
        assert "BatchNormalization" not in kinds(folded)
        np.testing.assert_allclose(folded(inputs_of(plain)), plain(inputs_of(plain)), atol=1e-5)


def test_the_model_stays_as_it_is():
    network = gate(randomized(residual_cnn()), seed=1)
    before, inputs = [np.array(one) for one in network.get_weights()], inputs_of(network)
    answered = answers(network, inputs, Expected())
    sink(fold(network))
    for one, other in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert_same(answers(network, inputs, Expected()), answered, 0)


def chain(*layers, size=(4, 4, 8)):
    x = inputs = keras.Input(size)
    for layer in layers:
        x = layer(x)
    return randomized(keras.Model(inputs, x))


def norm(**options):
    return L.BatchNormalization(**options)


@pytest.mark.parametrize(
    ("layers", "left"),
    [
        ([L.Conv2D(6, 3), norm()], ["Conv2D"]),
        ([L.Conv2D(6, 3, groups=2, use_bias=False), norm()], ["Conv2D"]),
        ([L.DepthwiseConv2D(3, depth_multiplier=2), norm()], ["DepthwiseConv2D"]),
        ([L.SeparableConv2D(6, 3, depth_multiplier=2), norm()], ["SeparableConv2D"]),
        ([L.Dense(6), norm(center=False, scale=False)], ["Dense"]),
        ([L.Dense(6), norm(axis=3)], ["Dense"]),
        # Not over the channels; of what is not linear; of an own kind; before the kernel.
        ([L.Conv2D(6, 3, padding="same"), norm(axis=1)], ["Conv2D", "BatchNormalization"]),
        ([L.Dense(6, activation="relu"), norm()], ["Dense", "BatchNormalization"]),
        ([norm(), L.Dense(6)], ["BatchNormalization", "Dense"]),
        ([L.Dense(6), L.Dropout(0.5), L.GaussianNoise(1.0)], ["Dense"]),
    ],
)
def test_what_is_folded(layers, left):
    model = chain(*layers)
    folded = fold(model)
    assert kinds(folded) == left
    inputs = inputs_of(model)
    np.testing.assert_allclose(folded(inputs), model(inputs), rtol=1e-4, atol=1e-5)


@keras.saving.register_keras_serializable(package="tests")
class Doubled(L.Dense):
    def call(self, inputs, training=None):
        return 2 * super().call(inputs)


@keras.saving.register_keras_serializable(package="tests")
class StochasticDepth(L.Layer):
    """One's own, which scales at inference as the published one does."""

    def call(self, inputs):
        return 0.5 * inputs


def test_layers_of_ones_own_are_not_taken_for_those_of_keras():
    model = chain(Doubled(6), norm(), StochasticDepth())
    folded, inputs = fold(model), inputs_of(model)
    assert kinds(folded) == ["Doubled", "BatchNormalization", "StochasticDepth"]
    np.testing.assert_array_equal(folded(inputs), model(inputs))


def test_what_is_read_twice_is_not_folded():
    x = inputs = keras.Input((4, 4, 8))
    y = L.Conv2D(8, 1, name="read_twice")(x)
    model = randomized(keras.Model(inputs, norm()(y) + y))
    folded = fold(model)
    assert kinds(folded).count("BatchNormalization") == 1
    np.testing.assert_array_equal(folded(inputs_of(model)), model(inputs_of(model)))


def test_a_layer_before_two_norms_becomes_two():
    x = inputs = keras.Input((4, 4, 8))
    shared = L.Conv2D(8, 1, name="shared")
    one, other = norm(name="one"), norm(name="other")
    model = randomized(keras.Model(inputs, other(shared(one(shared(x))))))
    folded = fold(model)
    assert [node.operation.name for node in nodes(folded)] == ["shared_one", "shared_other"]
    np.testing.assert_allclose(
        folded(inputs_of(model)), model(inputs_of(model)), rtol=1e-4, atol=1e-5
    )


def test_a_norm_behind_two_layers_goes_into_both():
    x = inputs = keras.Input((4, 4, 8))
    shared = norm(name="shared")
    x = shared(L.Conv2D(8, 1, name="one")(x))
    model = randomized(keras.Model(inputs, shared(L.Conv2D(8, 1, name="other")(x))))
    folded = fold(model)
    assert kinds(folded) == ["Conv2D", "Conv2D"]
    np.testing.assert_allclose(
        folded(inputs_of(model)), model(inputs_of(model)), rtol=1e-4, atol=1e-5
    )


def test_a_layer_and_a_norm_that_are_used_twice_become_one():
    x = inputs = keras.Input((4, 4, 8))
    conv, shared = L.Conv2D(8, 1, name="conv"), norm(name="norm")
    model = randomized(keras.Model(inputs, shared(conv(shared(conv(x))))))
    folded = fold(model)
    assert [node.operation.name for node in nodes(folded)] == ["conv_norm"] * 2
    assert len(folded.weights) == 2
    inputs = inputs_of(model)
    np.testing.assert_allclose(folded(inputs), model(inputs), rtol=1e-4, atol=1e-5)


def test_half_precision_is_folded_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = gate(randomized(residual_cnn()), seed=1)
    policy = deciding(network, some_decisions(network))
    keras.config.set_dtype_policy("float32")
    inputs = inputs_of(network)
    before = answers(network, inputs, policy)
    for model in (fold(network), sink(fold(network))):
        assert_same(answers(model, inputs, policy), before, 0.02)
