"""Which branches get a gate, and what kind of gate."""

import keras
import numpy as np
import pytest
from keras import layers as L
from own_models import (
    answers,
    assert_same,
    deciding,
    inputs_of,
    randomized,
    saved_and_loaded,
    some_decisions,
    table,
)

import tfgates
from tfgates.gates import IndependentGate
from tfgates.graph.gating import gate, noise_streams
from tfgates.graph.nodes import nodes
from tfgates.network import gates
from tfgates.policies import Expected, Sample, Threshold


@pytest.mark.parametrize(
    ("where", "chosen"),
    [
        (None, [0, 1, 2]),
        ("layer_1", [1]),
        (["layer_2", "layer_0"], [0, 2]),
        ("layer_*", [0, 1, 2]),
        ("layer_[02]", [0, 2]),
        (lambda branch: branch.name.endswith("1"), [1]),
        (lambda branch: branch.macs > 1023, [0, 1, 2]),
    ],
)
def test_where(where, chosen):
    network = gate(table(), where=where)
    assert [layer.name for layer in gates(network)] == [f"layer_{index}" for index in chosen]


def test_where_without_a_branch():
    with pytest.raises(
        ValueError, match=r"Received: 'layer_9', which fits none of layer_0, layer_1"
    ):
        gate(table(), where=["layer_1", "layer_9"])
    for where in ([], lambda branch: False):
        with pytest.raises(ValueError, match="leave no branch a gate"):
            gate(table(), where=where)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("dependent", {"units": 3, "odds": (0.0, -1.0)}), ("independent", {"odds": (0.5, 1.0)})],
)
def test_options_reach_the_gates(kind, options):
    network = gate(table(), kind, **options)
    for layer in gates(network):
        assert {name: layer.gate.get_config()[name] for name in options} == options
        assert layer.gate.name == f"{layer.name}_gate"
    off, on = options["odds"]
    rates = answers(network, inputs_of(network), Expected())[1]
    np.testing.assert_allclose(rates, 1 / (1 + np.exp(off - on)), atol=0.02)


def test_a_function_makes_the_gates():
    def make(branch):
        return None if branch.name == "layer_1" else IndependentGate(odds=(0.0, float(branch.macs)))

    network = gate(table(), make)
    assert [layer.name for layer in gates(network)] == ["layer_0", "layer_2"]
    assert [layer.gate.odds for layer in gates(network)] == [(0.0, 1024.0)] * 2
    with pytest.raises(ValueError, match=r"makes its gates itself. .*units"):
        gate(table(), make, units=3)
    with pytest.raises(ValueError, match="leave no branch a gate"):
        gate(table(), lambda branch: None)


def test_a_gate_may_be_a_functional_model(tmp_path):
    def make(branch):
        x = features = keras.Input(branch.start.shape[1:])
        x = L.Dense(4, activation="relu")(x)
        return keras.Model(features, L.Dense(1)(x), name=f"{branch.name}_gate")

    network = randomized(gate(table(), make, seed=1))
    inputs = inputs_of(network)
    logits, decisions = answers(network, inputs, Threshold())
    assert decisions.shape == (4, 3)
    (first,) = [node for node in nodes(network) if node.operation.name == "layer_0"]
    before = keras.Model(network.input, first.input_tensors[0])
    odds = np.asarray(first.operation.gate(before(inputs)))[:, 0]
    np.testing.assert_array_equal(decisions[:, 0], odds > 0)
    # Noise drawn for all gates at once.
    policy = deciding(network, some_decisions(network))
    np.testing.assert_array_equal(answers(network, inputs, policy)[1], some_decisions(network))
    loaded = saved_and_loaded(network, tmp_path)
    assert_same(answers(loaded, inputs, Threshold()), (logits, decisions), 1e-6)
    assert tfgates.count(network).gates == 3 * (16 * 4 + 4)


def test_each_gate_draws_noise_of_its_own_and_repeats_it():
    first, again, other = (gate(table(), "independent", seed=seed) for seed in (1, 1, 2))
    inputs = inputs_of(first, count=64)
    drawn = [answers(one, inputs, Sample(noise_scale=9.0))[1] for one in (first, again, other)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).mean() > 0.2
    assert all((drawn[0][:, 0] != drawn[0][:, column]).mean() > 0.2 for column in (1, 2))
    assert len(set(noise_streams(1, 100))) == 100
    assert noise_streams(None, 2) == [None, None]


def test_arguments_out_of_their_range():
    for arguments, why in (
        ({"gate": "learned"}, "`gate` is one of dependent, independent.* Received: 'learned'"),
        ({"gated": "rows"}, "`gated` is one of branches, output_filters.* Received: 'rows'"),
        ({"gated": "output_filters", "groups": 3}, "divides the filters, 16 of layer_0.*groups=3"),
        ({"gated": "output_filters", "groups": 1}, "`groups` is at least 2. Received: 1"),
        ({"units": 0}, "at least 1. Received: units=0"),
    ):
        with pytest.raises(ValueError, match=why):
            gate(table(), **arguments)
