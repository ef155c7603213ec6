"""Sums and what follows them go into the arms of gates."""

import keras
import pytest
from folded import assert_folded_and_sunk, kinds
from keras import layers as L
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer
from own_models import OWN, answers, assert_same, deciding, inputs_of, randomized, some_decisions

import tfgates
from tfgates.gated import Gated, joined
from tfgates.gates import DependentGate
from tfgates.graph.folding import fold
from tfgates.graph.gating import gate
from tfgates.graph.pruning import prune
from tfgates.graph.sinking import sink
from tfgates.network import Network, gates
from tfgates.networks.cifar_resnet import cifar_resnet


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


def test_a_scaled_sum():
    x = images = keras.Input((8, 8, 8))
    x = L.ReLU()(CustomScaleLayer(0.2)([x, L.Conv2D(8, 1, name="own_conv")(x)]))
    plain = randomized(keras.Model(images, L.Dense(3)(L.GlobalAveragePooling2D()(x))))
    _, sunk = assert_folded_and_sunk(gate(plain, seed=1))
    ((then, otherwise),) = arms(sunk).values()
    assert (then, otherwise) == (["Conv2D", "CustomScaleLayer", "ReLU"], ["ReLU"])


def test_what_neither_sum_takes_up_stays():
    network = gate(randomized(OWN["dense"]()), seed=1)
    _, sunk = assert_folded_and_sunk(network)
    assert [layer.otherwise for layer in gates(sunk)] == [None] * 3
    assert tfgates.count(sunk).branches == tfgates.count(network).branches
