"""Models for the export: batch norms in kernels, sums in the arms of gates, the same answers."""

import keras
import numpy as np
import pytest
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

import tfgates
from tfgates.gated import Gated, joined
from tfgates.gates import DependentGate
from tfgates.graph.folding import fold
from tfgates.graph.gating import gate
from tfgates.graph.nodes import graph_of, nodes
from tfgates.graph.pruning import prune
from tfgates.graph.sinking import sink
from tfgates.network import Network, gates
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.policies import Expected


def kinds(model):
    return [type(node.operation).__name__ for node in nodes(model)]


def all_kinds(model):
    """Those inside of gates too."""
    inside = [kind for layer in gates(model) for kind in kinds(layer.then)]
    return kinds(model) + inside


def assert_folded_and_sunk(network, tolerance=1e-5):
    """Compares answers under random decisions; returns both models."""
    inputs, policy = inputs_of(network), deciding(network, some_decisions(network))
    before = answers(network, inputs, policy)
    folded = fold(network)
    sunk = sink(folded)
    for model in (folded, sunk):
        assert [layer.name for layer in gates(model)] == [layer.name for layer in gates(network)]
        assert_same(answers(model, inputs, policy), before, tolerance)
    return folded, sunk


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


def arms(model):
    """By gate: the kinds of operations where it is open, and where it is closed."""
    return {layer.name: (kinds(layer.then), kinds(layer.otherwise)) for layer in gates(model)}


def test_sums_and_their_relu_are_in_the_arms():
    network = gate(randomized(cifar_resnet(8, 10, (8, 8, 3))), seed=1)
    _, sunk = assert_folded_and_sunk(network)
    assert kinds(sunk).count("Add") == kinds(sunk).count("ReLU") - 1 == 0
    block = ["Conv2D", "ReLU", "Conv2D", "Add", "ReLU"]
    padded = ["ZeroPadding2D", *block]
    assert arms(sunk) == {
        # What is not negative already is returned itself.
        "block_00": (block, []),
        "block_01": (padded, ["ReLU"]),
        "block_02": (padded, ["ReLU"]),
    }
    first = gates(sunk)[0].otherwise
    assert first.outputs[0] is first.inputs[0]


def residual(relu, between=lambda x: x):
    """A ReLU, perhaps something else, and a residual block with that ReLU at its end."""
    x = images = keras.Input((8, 8, 3))
    x = between(relu()(L.Conv2D(8, 3, padding="same", name="stem")(x)))
    y = L.Conv2D(8, 3, padding="same")(x)
    x = relu()(L.Add(name="own_add")([x, y]))
    plain = keras.Model(images, L.Dense(3)(L.GlobalAveragePooling2D()(x)))
    return gate(randomized(plain), seed=1)


@pytest.mark.parametrize(
    ("relu", "between", "closed"),
    [
        (L.ReLU, lambda x: x, []),
        (lambda: L.Activation("relu"), lambda x: x, []),
        (L.ReLU, lambda x: L.MaxPooling2D(2)(L.ZeroPadding2D(1)(x)), []),
        (L.ReLU, lambda x: L.Concatenate()([x[..., :4], L.ReLU()(x[..., 4:])]), ["ReLU"]),
        (L.ReLU, lambda x: L.Concatenate()([x, L.ReLU()(x)])[..., :8], ["ReLU"]),
        # Greater than 6, or negative: no identity.
        (lambda: L.ReLU(6.0), lambda x: x, ["ReLU"]),
        (lambda: L.Activation("relu6"), lambda x: x, ["Activation"]),
        (L.ReLU, lambda x: L.Conv2D(8, 1)(x), ["ReLU"]),
        (L.ReLU, lambda x: x - 1.0, ["ReLU"]),
    ],
)
def test_a_closed_block_is_the_identity_where_that_is_known(relu, between, closed):
    network = residual(relu, between)
    (layer,) = gates(network)
    _, sunk = assert_folded_and_sunk(network)
    assert arms(sunk)[layer.name][1] == closed


@pytest.mark.parametrize(
    "relu",
    [lambda: L.LeakyReLU(), lambda: L.ReLU(negative_slope=0.1), lambda: L.Activation("gelu")],
)
def test_other_activations_stay_behind_the_sum(relu):
    network = residual(relu)
    _, sunk = assert_folded_and_sunk(network)
    assert arms(sunk)["own"] == (["Conv2D", "Add"], [])
    assert kinds(sunk).count(type(relu()).__name__) == 2


def test_a_relu_of_a_relu_goes():
    """It is left over where a closed branch between both was removed."""
    network = gate(randomized(cifar_resnet(8, 10, (8, 8, 3))), seed=1)
    pruned = prune(network, {0: False})
    assert kinds(pruned).count("ReLU") == 4
    sunk = sink(fold(pruned))
    assert kinds(sunk).count("ReLU") == 1
    inputs, policy = inputs_of(pruned), deciding(pruned, some_decisions(pruned))
    assert_same(answers(sunk, inputs, policy), answers(pruned, inputs, policy))


def test_a_sum_that_is_the_answer():
    """The decisions stand beside the last sum, and may not be read before it is made."""
    x = rows = keras.Input((8,))
    for index in range(2):
        x = L.Add(name=f"layer_{index}_add")([x, L.Dense(8)(x)])
    network = gate(randomized(keras.Model(rows, x)), seed=1)
    _, sunk = assert_folded_and_sunk(network)
    assert "Add" not in kinds(sunk)


def two_gates_of_one_sum():
    rows = keras.Input((8,))
    made = []
    for name in ("one", "other"):
        start = keras.Input((8,))
        then = keras.Model(start, L.Dense(8, name=f"{name}_dense")(start))
        made.append(Gated(then, DependentGate(), name=name, seed=1)(rows))
    (one, first), (other, second) = made
    logits = L.Dense(3)(L.ReLU()(L.Add(name="sum")([one, other])))
    return Network(rows, {"logits": logits, "decisions": joined([first, second])})


def test_one_of_two_gates_takes_their_sum():
    _, sunk = assert_folded_and_sunk(randomized(two_gates_of_one_sum()))
    assert kinds(sunk).count("Add") == 0
    assert [layer.otherwise is None for layer in gates(sunk)] == [False, True]


def gate_on_two_inputs(read_both):
    """A branch that reads the shortcut of its sum, or another tensor, beside its own input."""
    rows = keras.Input((8,))
    side = L.Dense(8, name="side")(rows)
    start, beside = keras.Input((8,)), keras.Input((8,))
    then = keras.Model([start, beside], L.Dense(8)(start * beside))
    y, decisions = Gated(then, DependentGate(), name="own", seed=1)([rows, side])
    logits = L.Dense(3)(L.Add()([side if read_both else rows, y]))
    return Network(rows, {"logits": logits, "decisions": decisions})


@pytest.mark.parametrize("read_both", [True, False])
def test_a_gate_on_two_inputs(read_both):
    _, sunk = assert_folded_and_sunk(randomized(gate_on_two_inputs(read_both)))
    assert arms(sunk)["own"] == (["Multiply", "Dense", "Add"], [])


class CustomScaleLayer(L.Layer):
    """As of Keras's InceptionResNetV2."""

    def call(self, inputs):
        return inputs[0] + 0.2 * inputs[1]


def test_a_scaled_sum():
    x = images = keras.Input((8, 8, 8))
    x = L.ReLU()(CustomScaleLayer()([x, L.Conv2D(8, 1, name="own_conv")(x)]))
    plain = randomized(keras.Model(images, L.Dense(3)(L.GlobalAveragePooling2D()(x))))
    _, sunk = assert_folded_and_sunk(gate(plain, seed=1))
    ((then, otherwise),) = arms(sunk).values()
    assert (then, otherwise) == (["Conv2D", "CustomScaleLayer", "ReLU"], ["ReLU"])


def test_what_neither_sum_takes_up_stays():
    network = gate(randomized(OWN["dense"]()), seed=1)
    _, sunk = assert_folded_and_sunk(network)
    assert [layer.otherwise for layer in gates(sunk)] == [None] * 3
    assert tfgates.count(sunk).branches == tfgates.count(network).branches


def test_half_precision_is_folded_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = gate(randomized(residual_cnn()), seed=1)
    policy = deciding(network, some_decisions(network))
    keras.config.set_dtype_policy("float32")
    inputs = inputs_of(network)
    before = answers(network, inputs, policy)
    for model in (fold(network), sink(fold(network))):
        assert_same(answers(model, inputs, policy), before, 0.02)
