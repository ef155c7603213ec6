"""Pruning: the smaller model equals the one whose gates decide so."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers as L
from own_models import (
    OWN,
    answers,
    assert_same,
    deciding,
    dense,
    inputs_of,
    randomized,
    residual_cnn,
    saved_and_loaded,
    some_decisions,
)

from tfgates.gated import Gated, joined
from tfgates.gates import DependentGate, IndependentGate
from tfgates.graph.branches import branches
from tfgates.graph.count import count
from tfgates.graph.gating import gate
from tfgates.graph.pruning import expected, fully_decided, one_sided, prune, thresholded
from tfgates.network import Network, columns, gates, num_gates
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.policies import AlwaysOpen, Expected, Threshold
from tfgates.stochastic_depth import FixedGate

# Open, closed and live, for the identity block (gate 0) and a projection block (gate 1).
DECISIONS = [
    {gate: decision for gate, decision in enumerate(decided) if decision is not None}
    for decided in [
        *itertools.product((True, False, None), (True, False, None), (None,)),
        (True, True, True),
        (False, False, False),
    ]
]


def gated_resnet():
    """Three blocks, one with an identity shortcut and two with projections."""
    return gate(randomized(cifar_resnet(8, 10, (8, 8, 3))), seed=1)


def decided(network, fixed, count=4):
    """Random decisions, but for those that are made."""
    decisions = some_decisions(network, count)
    for column, decision in fixed.items():
        decisions[:, column] = decision
    return decisions


def assert_pruned(network, fixed):
    """Compares the answers of a network and of its pruned one, which it returns."""
    inputs, decisions = inputs_of(network), decided(network, fixed)
    before = answers(network, inputs, deciding(network, decisions))
    pruned = prune(network, fixed)
    live = [column for name in columns(pruned) for column in _range(columns(network)[name])]
    assert not set(live) & set(fixed)
    after = answers(pruned, inputs, deciding(pruned, decisions[:, live]))
    assert_same(after, (before[0], before[1][:, live]))
    return pruned


def _range(columns):
    return range(columns.start, columns.stop)


@pytest.mark.parametrize("fixed", DECISIONS, ids=str)
def test_pruned_is_thresholded(fixed):
    network = gated_resnet()
    pruned = assert_pruned(network, fixed)
    names = {layer.name for layer in pruned.layers}
    for column in range(3):
        block = f"block_{column:02d}"
        assert (block in names) == (column not in fixed)
        # Of an open branch the layers stand in the network itself, of a closed one nowhere.
        assert (f"{block}_conv_1" in names) == (fixed.get(column) is True)
        assert (f"{block}_add" in names) == (fixed.get(column) is not False)
    full, left = count(network), count(pruned)
    opened = sum(full.branches[column] for column, decision in fixed.items() if decision)
    live = [column for column in range(3) if column not in fixed]
    assert left.always == full.always + opened
    assert left.branches == left.removable == tuple(full.branches[column] for column in live)
    assert left.ungated == left.always + sum(left.branches)
    assert left.gates == sum(layer.gate.multiply_adds for layer in gates(pruned))


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("decision", [True, False])
def test_each_small_model_pruned(name, decision, tmp_path):
    network = gate(randomized(OWN[name]()), seed=1)
    last = num_gates(network) - 1
    pruned = assert_pruned(network, {last: decision})
    whole = assert_pruned(network, dict.fromkeys(range(last + 1), decision))
    assert isinstance(pruned, Network) == (last > 0)
    assert not isinstance(whole, Network)
    assert {id(one) for one in whole.weights} <= {id(one) for one in network.weights}
    if decision:
        of_gates = sum(len(layer.gate.weights) + 1 for layer in gates(network))
        assert len(whole.weights) == len(network.weights) - of_gates
    loaded = saved_and_loaded(whole, tmp_path)
    inputs = inputs_of(network)
    np.testing.assert_allclose(loaded(inputs), whole(inputs), rtol=1e-6, atol=1e-7)


def test_the_network_stays_as_it_is():
    network = gated_resnet()
    inputs, policy = inputs_of(network), Threshold()
    before = answers(network, inputs, policy)
    prune(network, {0: False, 1: True, 2: False})
    assert_same(answers(network, inputs, policy), before, 0)
    assert prune(network, {}) is network


def test_a_pruned_network_is_pruned_again_from_its_file(tmp_path):
    network = gate(randomized(residual_cnn()), gated="output_filters", groups=2, seed=1)
    once = assert_pruned(network, {0: True, 1: False})
    # As in another process, where Keras names from 1 again.
    keras.backend.clear_session(free_memory=False)
    loaded = saved_and_loaded(once, tmp_path)
    keras.backend.clear_session(free_memory=False)
    assert num_gates(assert_pruned(loaded, {0: False, 1: True})) == 0


def test_closed_parts_of_a_concatenation_are_zeros():
    network = gate(randomized(dense()), seed=1)
    pruned = assert_pruned(network, {0: False, 1: True, 2: False})
    assert {layer.name for layer in pruned.layers} >= {"layer_0_zeros", "layer_2_zeros"}
    assert "layer_1_zeros" not in {layer.name for layer in pruned.layers}


def test_what_is_behind_a_closed_branch_keeps_its_shape():
    """Where neither a sum nor a concatenation takes it up."""
    x = images = keras.Input((8, 8, 3))
    features = keras.Input((8, 8, 3))
    then = keras.Model(features, L.Conv2D(4, 3, strides=2)(features))
    x, decisions = Gated(then, IndependentGate(), name="own")(x)
    logits = L.Dense(2)(L.Flatten()(x))
    network = randomized(Network(images, {"logits": logits, "decisions": decisions}))
    assert_pruned(network, {0: False})


GROUPS = [
    {0: True, 1: False, 2: True, 3: False},
    {0: False, 1: False, 2: False, 3: True},
    {0: True, 1: True, 2: True, 3: True},
]


@pytest.mark.parametrize("fixed", GROUPS, ids=str)
@pytest.mark.parametrize("gated", ["output_filters", "inner_filters"])
def test_groups_are_sliced(gated, fixed):
    plain = randomized(residual_cnn())
    network = gate(plain, "independent", "down", gated=gated, groups=4, seed=1)
    pruned, branch = assert_pruned(network, fixed), branches(plain)[0]
    first, second = [
        node.operation.name for node in branch.nodes if node.operation.name[:4] == "conv"
    ]
    kept = sum(fixed.values()) * 4
    into, made = pruned.get_layer(first), pruned.get_layer(second)
    if gated == "output_filters":
        assert made.kernel.shape == (3, 3, 16, kept)
    else:
        assert (into.kernel.shape, made.kernel.shape) == ((3, 3, 8, kept), (3, 3, kept, 16))
    full, decisions = count(network), np.array([fixed[column] for column in range(4)])
    assert count(pruned).always == full.executed(decisions)
    assert full.branches == full.removable


def test_all_groups_closed():
    network = gate(randomized(residual_cnn()), where="down", gated="output_filters", seed=1)
    assert_pruned(network, dict.fromkeys(range(4), False))
    inner = gate(randomized(residual_cnn()), where="down", gated="inner_filters", seed=1)
    # One group would stay open, which one depends on the image.
    assert fully_decided(inner, dict.fromkeys(range(4), False)) == {}
    assert prune(inner, dict.fromkeys(range(4), False)) is inner


def test_groups_of_which_some_are_live_stay():
    network = gate(randomized(residual_cnn()), where="down", gated="output_filters", seed=1)
    assert fully_decided(network, {0: True, 1: False, 2: True}) == {}
    assert prune(network, {0: True, 1: False, 2: True}) is network


def narrow(x):
    """As of a MobileNet: the channels between are made one by one."""
    x = L.ReLU(6.0)(L.BatchNormalization()(L.Conv2D(16, 1)(x)))
    x = L.ReLU(6.0)(L.BatchNormalization()(L.DepthwiseConv2D(3, padding="same")(x)))
    return L.BatchNormalization()(L.Conv2D(8, 1)(x))


def of_two_readers(x):
    x = L.ReLU()(L.Conv2D(16, 1)(x))
    return L.Conv2D(8, 1)(x) + L.Conv2D(8, 3, padding="same")(x)


def read_by_a_product_too(x):
    x = L.ReLU()(L.Conv2D(8, 1)(x))
    return L.Conv2D(8, 1)(x) * x


def read_by_a_separable_one(x):
    return L.SeparableConv2D(8, 3, padding="same")(L.ReLU()(L.SeparableConv2D(16, 1)(x)))


def read_by_a_depthwise_one(x):
    return L.DepthwiseConv2D(3, padding="same")(L.Conv2D(8, 1)(x))


def behind_a_leaky_relu(x):
    return L.Conv2D(8, 1)(L.LeakyReLU()(L.Conv2D(16, 1)(x)))


def behind_a_softmax(x):
    return L.Conv2D(8, 1)(L.Conv2D(16, 1, activation="softmax")(x))


def squeezed(x):
    x = L.Conv2D(16, 1, activation="silu")(x)
    y = L.GlobalAveragePooling2D(keepdims=True)(x)
    return L.Conv2D(8, 1)(L.Multiply()([x, L.Conv2D(16, 1, activation="sigmoid")(y)]))


# And which of its layers are sliced, by their kind, for half of the groups.
SLICED = {
    narrow: ["Conv2D", "BatchNormalization", "DepthwiseConv2D", "BatchNormalization", "Conv2D"],
    of_two_readers: ["Conv2D", "Conv2D", "Conv2D"],
    read_by_a_product_too: ["Conv2D", "Conv2D"],
    read_by_a_separable_one: ["SeparableConv2D"],
    read_by_a_depthwise_one: ["Conv2D"],
    behind_a_leaky_relu: [],
    behind_a_softmax: [],
    squeezed: [],
}


@pytest.mark.parametrize("build", SLICED, ids=lambda build: build.__name__)
def test_what_cannot_be_sliced_is_set_to_zero(build):
    x = images = keras.Input((8, 8, 8))
    x = L.Add(name="own_add")([x, build(x)])
    plain = randomized(keras.Model(images, L.Dense(3)(L.GlobalAveragePooling2D()(x))))
    network = gate(plain, "independent", gated="inner_filters", groups=4, seed=1)
    fixed = {0: True, 1: False, 2: False, 3: True}
    pruned = assert_pruned(network, fixed)
    before = {id(layer) for layer in plain.layers}
    new = [layer for layer in pruned.layers if id(layer) not in before and layer.weights]
    assert sorted(type(layer).__name__ for layer in new) == sorted(SLICED[build])
    # What is said to go goes.
    assert count(pruned).always == count(network).executed([1, 0, 0, 1])


def test_output_filters_of_a_block_that_ends_otherwise():
    x = images = keras.Input((8, 8, 8))
    x = L.Add(name="own_add")([x, L.LeakyReLU()(L.Conv2D(8, 1)(x))])
    plain = randomized(keras.Model(images, L.Dense(3)(L.GlobalAveragePooling2D()(x))))
    network = gate(plain, "independent", gated="output_filters", groups=2, seed=1)
    pruned = assert_pruned(network, {0: False, 1: True})
    assert pruned.get_layer("own_kept").scale == [0.0] * 4 + [1.0] * 4
    assert count(network).removable == (0, 0)


def gated_in_gated():
    """A gate around a part in which there are two gates."""
    features = keras.Input((8,), name="features")
    x, inside = features, []
    for name in ("first", "second"):
        start = keras.Input((8,))
        arm = keras.Model(start, L.Dense(8, activation="tanh", name=f"{name}_dense")(start))
        y, decisions = Gated(arm, DependentGate(), name=name, seed=2)(x)
        x = L.Add(name=f"{name}_add")([x, y])
        inside.append(decisions)
    then = keras.Model(features, [x, joined(inside, "inside")])
    rows = keras.Input((8,))
    y, decisions = Gated(then, DependentGate(), name="outer", seed=1)(rows)
    logits = L.Dense(3)(L.Add(name="outer_add")([rows, y]))
    return randomized(Network(rows, {"logits": logits, "decisions": decisions}))


@pytest.mark.parametrize(
    ("fixed", "left"),
    [
        ({0: True}, ["first", "second"]),
        ({0: False}, []),
        ({1: True}, ["outer", "second"]),
        ({1: False}, ["outer", "second"]),
        ({1: False, 2: True}, ["outer"]),
        ({0: True, 1: True}, ["second"]),
        ({0: True, 1: False, 2: False}, []),
        ({0: False, 1: True, 2: True}, []),
    ],
    ids=str,
)
def test_gates_in_gates(fixed, left, tmp_path):
    network = gated_in_gated()
    pruned = assert_pruned(network, fixed)
    assert [layer.name for layer in gates(pruned)] == left
    # What runs is what ran before, without the gates that are gone.
    decisions = decided(network, fixed).astype(float)
    decisions[:, 1:] *= decisions[:, :1]
    names = ["outer", "first", "second"]
    live = [names.index(name) for name in left]
    before, after = count(network).executed(decisions), count(pruned).executed(decisions[:, live])
    of_a_gate = gates(network)[0].gate.multiply_adds
    ran = {"outer": 1, "first": decisions[:, 0], "second": decisions[:, 0]}
    saved = sum(of_a_gate * ran[name] for name in names if name not in left)
    np.testing.assert_array_equal(after, before - saved)
    inputs = inputs_of(network)
    loaded = saved_and_loaded(pruned, tmp_path)
    assert_same(answers(loaded, inputs, Threshold()), answers(pruned, inputs, Threshold()), 1e-6)


def test_stochastic_depth_becomes_a_plain_model(tmp_path):
    probabilities = iter([0.9, 0.7, 0.5])
    plain = randomized(cifar_resnet(8, 10, (8, 8, 3)))
    network = gate(plain, lambda branch: FixedGate(next(probabilities)))
    inputs = inputs_of(network)
    merged = expected(network)
    assert num_gates(merged) == 0
    before = answers(network, inputs, Expected())[0]
    np.testing.assert_allclose(merged(inputs), before, rtol=1e-5)
    np.testing.assert_allclose(saved_and_loaded(merged, tmp_path)(inputs), before, rtol=1e-5)
    assert expected(merged) is merged
    learned = gated_resnet()
    assert expected(learned) is learned


def test_stochastic_depth_beside_learned_gates():
    def make(branch):
        return FixedGate(0.5) if branch.name == "layer_1" else DependentGate()

    network = gate(randomized(dense()), make, seed=1)
    merged = expected(network)
    assert [layer.name for layer in gates(merged)] == ["layer_0", "layer_2"]
    inputs = inputs_of(network)
    before = answers(network, inputs, Expected())
    assert_same(answers(merged, inputs, Expected()), (before[0], before[1][:, [0, 2]]))


def test_the_precision_is_that_of_the_network():
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = gate(randomized(residual_cnn()), lambda branch: FixedGate(0.5), seed=1)
    # As in a tool, which knows the precision by the layers alone.
    keras.config.set_dtype_policy("float32")
    fixed = {0: True, 1: False}
    policy = deciding(network, np.array([[True, False]] * 4))
    inputs = inputs_of(network)
    for small, each in ((prune(network, fixed), policy), (expected(network), Expected())):
        before = answers(network, inputs, each)[0]
        np.testing.assert_allclose(small(inputs), before, atol=0.02)
        policies = {
            layer.dtype_policy.name
            for layer in small.layers
            if layer.weights or "scale" in layer.name
        }
        assert policies == {"mixed_bfloat16"}


def test_gates_that_look_at_no_image_are_decided():
    kinds = iter(
        [IndependentGate(odds=(0.0, 1.0)), DependentGate(), IndependentGate(odds=(0.0, -1.0))]
    )
    network = gate(randomized(dense()), lambda branch: next(kinds))
    assert thresholded(network, Threshold()) == {0: True, 2: False}
    assert thresholded(network, Threshold(0.8)) == {0: False, 2: False}
    assert thresholded(network, AlwaysOpen()) == {0: True, 2: True}
    assert thresholded(dense(), Threshold()) == {}


def test_one_of_the_closed_groups_is_decided_open():
    network = gate(
        residual_cnn(), "independent", "down", gated="inner_filters", odds=(3.0, 0.0), groups=4
    )
    gates(network)[0].gate.off_on.assign([[3, 0], [3, 0], [3, 1], [3, 0]])
    assert thresholded(network, Threshold()) == {0: False, 1: False, 2: True, 3: False}


def test_rates_decide_the_one_sided_gates():
    assert one_sided([0.001, 0.0011, 0.999, 0.9989], 0.001) == {0: False, 2: True}
    assert one_sided([0.4, 0.5], 0.5) == {0: False, 1: True}


def test_columns_of_no_gate():
    with pytest.raises(ValueError, match=r"3 decisions. Received: \[0, 3\]"):
        prune(gated_resnet(), {0: True, 3: True})
