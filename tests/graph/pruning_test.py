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
)
from pruned import assert_pruned, decided, gated_resnet

from tfgates.gated import Gated, joined
from tfgates.gates import DependentGate, IndependentGate
from tfgates.graph.count import count
from tfgates.graph.gating import gate
from tfgates.graph.pruning import expected, prune
from tfgates.network import Network, gates, num_gates
from tfgates.policies import Expected, Threshold
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
