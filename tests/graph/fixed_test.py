"""Gates that need no image to be decided: by their probability, their log-odds, their rate."""

import numpy as np
import pytest
from own_models import (
    answers,
    assert_same,
    dense,
    inputs_of,
    randomized,
    residual_cnn,
    saved_and_loaded,
)
from pruned import gated_resnet

from tfgates.gates import DependentGate, IndependentGate
from tfgates.graph.gating import gate
from tfgates.graph.pruning import expected, one_sided, prune, thresholded
from tfgates.network import gates, num_gates
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.policies import AlwaysOpen, Expected, Threshold
from tfgates.stochastic_depth import FixedGate


def test_stochastic_depth_becomes_a_plain_model(tmp_path):
    probabilities = iter([0.9, 0.7, 0.5])
    plain = randomized(cifar_resnet(8, 10, (8, 8, 3)))
    network = gate(plain, lambda branch: FixedGate(next(probabilities)))
    inputs = inputs_of(network)
    merged = expected(network)
    assert num_gates(merged) == 0
    before = answers(network, inputs, Expected())[0]
    np.testing.assert_allclose(merged(inputs), before, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        saved_and_loaded(merged, tmp_path)(inputs), before, rtol=1e-5, atol=1e-6
    )
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
