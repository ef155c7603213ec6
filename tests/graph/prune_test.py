"""Pruning: the smaller network equals the thresholded one, in Keras and exported."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import open_half, randomize, small_network

from tfgates import costs
from tfgates.blocks import GatedBlock
from tfgates.data.preprocess import Preprocessing
from tfgates.export.savedmodel import ServedModel
from tfgates.gates import FixedGate
from tfgates.policies import Expected, Threshold
from tfgates.pruning import merge_expected, one_sided, prune, thresholded_rates
from tfgates.runs.folder import RunFolder
from tfgates.training.classifier import GatedClassifier

SHAPE = (16, 16, 3)
# Open, closed and live, for the identity block (gate 0) and a projection block (gate 1).
DECISIONS = [
    {gate: decision for gate, decision in enumerate(decided) if decision is not None}
    for decided in [
        *itertools.product((True, False, None), (True, False, None), (None,)),
        (True, True, True),
        (False, False, False),
    ]
]


def images(count=6):
    return np.random.default_rng(1).random((count, *SHAPE), "float32")


@pytest.fixture(scope="module")
def weights():
    """Of a small network whose gates open for half of the images each."""
    network = randomize(small_network(size=16))
    open_half(network, images(32))
    return network.get_weights()


@pytest.fixture
def half_open(weights):
    network = small_network(size=16)
    network.set_weights(weights)
    return network


def decide(network, fixed):
    """Lets gates decide for good, as their biases or log-odds."""
    for gate, decision in fixed.items():
        odds = 1e4 if decision else -1e4
        layer = network.blocks[gate].gate
        if hasattr(layer, "log_odds"):
            layer.log_odds.assign(odds)
        else:
            layer.off_on.bias.assign([0.0, odds])
    return network


@pytest.mark.parametrize("fixed", DECISIONS, ids=str)
def test_pruned_equals_thresholded(half_open, fixed):
    network = decide(half_open, fixed)
    before, decisions = network(images(), policy=Threshold())
    pruned = prune(network, fixed)
    after, left = pruned(images(), policy=Threshold())
    np.testing.assert_allclose(after, before, atol=1e-5)
    live = [gate for gate in range(3) if gate not in fixed]
    np.testing.assert_array_equal(left, np.asarray(decisions)[:, live])
    assert [block.name for block in pruned.blocks] == [
        block.name for block in network.blocks[fixed.get(0) is False :]
    ]
    full, left = costs.count(network, SHAPE), costs.count(pruned, SHAPE)
    opened = sum(full.branches[gate] for gate, decision in fixed.items() if decision)
    assert left.always == full.always + opened
    assert left.gates == tuple(full.gates[gate] for gate in live)
    assert left.branches == tuple(full.branches[gate] for gate in live)


@pytest.mark.parametrize("gate", ["dependent", "independent"])
@pytest.mark.parametrize("opened", [(0, 1, 0), (0, 0, 0), (1, 1, 1)])
def test_exported_pruned_equals_exported_thresholded(gate, opened):
    fixed = {index: bool(decision) for index, decision in enumerate(opened)}
    network = decide(randomize(small_network(gate, size=16)), fixed)
    pixels = 255 * images()
    labels = [str(index) for index in range(10)]

    def answer(model):
        return ServedModel(model, Preprocessing(16), labels, top_k=10).predict_images(pixels)

    before, pruned = answer(network), prune(network, fixed)
    after = answer(pruned)
    np.testing.assert_allclose(after["scores"], before["scores"], atol=1e-5)
    np.testing.assert_array_equal(after["class_ids"], before["class_ids"])
    assert after["gates"].shape == (6, 0)
    np.testing.assert_array_equal(before["gates"], [np.array(opened, bool)] * 6)
    # Gates that look at the image cost something until they are gone.
    looking = sum(costs.count(network, SHAPE).gates)
    # Independent ones are decided, and gone, in both.
    saved = looking if gate == "dependent" else 0
    np.testing.assert_allclose(after["macs"], before["macs"] - saved)
    assert len(pruned.blocks) == 2 + opened[0]


def test_a_pruned_network_is_saved_and_trained(tmp_path):
    network = prune(randomize(small_network(size=16)), {0: False, 1: False})
    run = RunFolder(tmp_path)
    run.save_classifier(GatedClassifier(network), run.model)
    loaded = run.load_classifier()
    np.testing.assert_array_equal(loaded(images()), network(images())[0])
    loaded.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    loaded.fit(images(), np.arange(6), verbose=0)
    assert np.isfinite(loaded.network(images())[0]).all()


def test_pruning_keeps_the_precision_of_the_run():
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = decide(randomize(small_network(size=16)), {0: True, 1: False})
    # As in a tool, which knows the run's precision by its layers alone.
    keras.config.set_dtype_policy("float32")
    pruned = prune(network, {0: True, 1: False})
    before, after = (one(images(), policy=Threshold())[0] for one in (network, pruned))
    np.testing.assert_array_equal(after, before)
    policies = {one.dtype_policy.name for one in (pruned, *pruned.blocks)}
    assert policies == {"mixed_bfloat16"}


def test_stochastic_depth_becomes_a_plain_network():
    plain = randomize(small_network("none", size=16))
    probabilities = [0.9, 0.7, 0.5]
    blocks = [
        GatedBlock(block.branch, block.norm, block.shortcut, FixedGate(probability))
        for block, probability in zip(plain.blocks, probabilities, strict=True)
    ]
    network = type(plain)(plain.stem, blocks, plain.head)
    network.build((None, *SHAPE))
    before = network(images(), policy=Expected())[0]
    merged = merge_expected(network)
    assert merged.num_gates == 0
    np.testing.assert_allclose(merged(images())[0], before, atol=1e-5)
    np.testing.assert_array_equal(network(images(), policy=Expected())[0], before)
    assert merge_expected(merged) is merged


def test_rates_decide_the_one_sided_gates(half_open):
    network = decide(half_open, {1: True})
    batches = tf.data.Dataset.from_tensor_slices(images(33)).batch(8)
    rates = thresholded_rates(network, batches, 0.5)
    _, decisions = network(images(33), policy=Threshold())
    np.testing.assert_allclose(rates, np.asarray(decisions).mean(axis=0))
    assert one_sided([0.001, 0.0011, 0.999, 0.9989], 0.001) == {0: False, 2: True}
    assert one_sided([0.4, 0.5], 0.5) == {0: False, 1: True}


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"3 gates.*\[3\]"):
        prune(small_network(), {3: True})
    block = small_network().blocks[0]
    with pytest.raises(ValueError, match="without `branch`"):
        GatedBlock(None, None)
    with pytest.raises(ValueError, match="without `branch`"):
        GatedBlock(None, block.norm, shortcut=block.branch)
