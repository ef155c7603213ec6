"""Gates on groups of filters (section S2.3): equations, slicing, export, pruning and flags."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import PREPROCESSING, STATISTICS, randomize, real_images, train_settings

from tfgates import costs
from tfgates.base.errors import UserError
from tfgates.blocks import GatedBlock
from tfgates.export.savedmodel import ServedModel, independent_decisions
from tfgates.filters import PlaceGroups
from tfgates.gates import DependentGate
from tfgates.network import GatedNetwork
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.networks.resnet import resnet
from tfgates.policies import AlwaysOpen, Sample, Threshold
from tfgates.pruning import fully_decided, indices_of_gates, prune

KINDS = ["output_filters", "inner_filters"]
SHAPE = (32, 32, 3)
GROUPS = 4


def network_of(gated, gate="independent", groups=GROUPS):
    """Returns a network of three blocks; every gate is open for some images or some groups."""
    keras.utils.set_random_seed(3)
    network = cifar_resnet(
        8, 10, gate=gate, gated=gated, filter_groups=groups, seed=3, statistics=STATISTICS
    )
    network = randomize(network, seed=5)
    features = network.stem(images(64))
    for block in network.blocks if gate == "dependent" else ():
        bias = block.gate.off_on.bias
        bias.assign(0 * bias)
        # Each group is open for half of the images.
        bias.assign(np.ravel([[np.median(one), 0] for one in np.transpose(block.gate(features))]))
        features, _ = block(features, policy=Threshold())
    return network


def images(count, split="train"):
    return np.stack([PREPROCESSING(image) for image in real_images(count, split)[0]])


@pytest.mark.parametrize("gated", KINDS)
def test_a_decision_multiplies_the_channels_of_its_group(gated):
    network = network_of(gated, "dependent")
    block = network.blocks[1]
    features = network.stem(images(16))
    features, _ = network.blocks[0](features, policy=Threshold())
    found, decisions = block(features, policy=Threshold())
    mask = np.repeat(decisions, block.norm.gamma.shape[0] // GROUPS, axis=1)[:, None, None, :]
    branch = block.norm(block.branch(features))
    if gated == "inner_filters":
        branch = block.tail(np.maximum(branch, 0) * mask)
    else:
        branch *= mask
    expected = np.maximum(block.shortcut(features) + branch, 0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert decisions.shape == (16, GROUPS)
    assert len(np.unique(decisions, axis=0)) > 3


@pytest.mark.parametrize("policy", [Threshold(1 - 1e-6), Sample()])
def test_one_group_stays_open_where_no_shortcut_leads_around(policy):
    block = network_of("inner_filters").blocks[0]
    logits = np.array([[-9.0, -7.0, -8.0, -9.0], [-9.0, 20.0, -9.0, 20.0]], "float32")
    decisions = np.asarray(block.decide(tf.constant(logits), policy))
    np.testing.assert_array_equal(decisions, [[0, 1, 0, 0], [0, 1, 0, 1]])


def test_without_a_tail_all_groups_may_close():
    block = network_of("output_filters").blocks[0]
    decisions = block.decide(tf.fill([2, GROUPS], -9.0), Threshold())
    np.testing.assert_array_equal(decisions, np.zeros([2, GROUPS]))


@pytest.mark.parametrize("gated", KINDS)
@pytest.mark.parametrize("gate", ["dependent", "independent"])
def test_each_group_is_trained(gated, gate):
    network = network_of(gated, gate)
    with tf.GradientTape() as tape:
        logits, _ = network(images(8), policy=Sample(), training=True)
        loss = tf.reduce_sum(tf.square(logits))
    gate_of_first = network.blocks[0].gate
    weight = gate_of_first.off_on.bias if gate == "dependent" else gate_of_first.log_odds
    gradient = np.reshape(tape.gradient(loss, weight.value), (GROUPS, -1))
    assert (np.abs(gradient).max(axis=1) > 0).all()


def test_a_closed_group_can_be_opened_again():
    block = network_of("inner_filters").blocks[0]
    decisions = tf.Variable(np.eye(1, GROUPS, dtype="float32"))
    with tf.GradientTape() as tape:
        branch = block.tail(block.norm(block.branch(tf.ones([1, 32, 32, 16])), decisions=decisions))
        total = tf.reduce_sum(tf.square(branch))
    assert (np.abs(tape.gradient(total, decisions)) > 0).all()


@pytest.mark.parametrize("gated", KINDS)
def test_sliced_equals_masked_and_costs_the_predicted_share(gated):
    network = network_of(gated)
    fixed = independent_decisions(network, 0.5)
    opened = [[fixed[gate] for gate in gates] for gates in indices_of_gates(network)]
    assert any(0 < sum(block) < GROUPS for block in opened)
    pruned = prune(network, fixed)
    expected, decisions = network(images(8), policy=Threshold())
    np.testing.assert_array_equal(decisions[0], np.ravel(opened))
    np.testing.assert_allclose(pruned(images(8))[0], expected, rtol=1e-5, atol=1e-5)
    assert pruned.num_gates == 0
    full, left = costs.count(network, SHAPE), costs.count(pruned, SHAPE)
    assert left.ungated == full.executed(np.ravel(opened))
    assert full.ungated == costs.count(cifar_resnet(8, 10, gate="none"), SHAPE).ungated
    restored = GatedNetwork.from_config(pruned.get_config())
    restored.build((None, *SHAPE))
    restored.set_weights(pruned.get_weights())
    np.testing.assert_allclose(restored(images(8))[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("gated", KINDS)
def test_sliced_groups_keep_the_precision_of_the_run(gated):
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = network_of(gated)
    # As in a tool, which knows the run's precision by its layers alone.
    keras.config.set_dtype_policy("float32")
    pruned = prune(network, independent_decisions(network, 0.5))
    expected, _ = network(images(8), policy=Threshold())
    # The order of their sums may differ, and bfloat16 has 8 bits.
    np.testing.assert_allclose(pruned(images(8))[0], expected, atol=0.05)
    assert {part.dtype_policy.name for part in pruned.blocks[0].layers_of_branch} == {
        "mixed_bfloat16"
    }


def test_a_block_whose_output_groups_are_all_closed_goes():
    network = network_of("output_filters")
    pruned = prune(network, dict.fromkeys(range(3 * GROUPS), False))
    assert [block.branch for block in pruned.blocks] == [None, None]


def test_of_inner_filters_not_all_are_closed_for_good():
    network = network_of("inner_filters")
    closed = dict.fromkeys(range(3 * GROUPS), False)
    assert fully_decided(network, closed) == {}
    assert prune(network, closed).num_gates == 3 * GROUPS
    assert fully_decided(network, {0: True, 1: False}) == {}


@pytest.mark.parametrize(
    ("gate", "gated", "skip"),
    [
        ("dependent", "output_filters", "loop"),
        ("dependent", "inner_filters", "gather"),
        ("independent", "output_filters", "none"),
        ("independent", "inner_filters", "gather"),
    ],
)
def test_exported_equals_masked(gate, gated, skip):
    network = network_of(gated, gate)
    model = ServedModel(network, PREPROCESSING, [str(index) for index in range(10)], skip=skip)
    encoded = real_images(6, "test")[0]
    counted = costs.count(network, SHAPE)
    for tau in (0.3, 0.5, 0.9) if gate == "dependent" else (0.5,):
        answer = model.predict_tau(tf.constant(encoded), tf.fill([6], tau))
        logits, decisions = network(images(6, "test"), policy=Threshold(tau))
        scores = np.sort(keras.ops.softmax(logits), axis=1)[:, ::-1][:, :5]
        np.testing.assert_allclose(answer["scores"], scores, atol=1e-5)
        np.testing.assert_array_equal(answer["gates"], np.asarray(decisions) > 0.5)
        np.testing.assert_allclose(answer["macs"], counted.executed(decisions), rtol=1e-6)
        np.testing.assert_allclose(answer["macs_full"], counted.ungated)


def test_each_image_has_its_own_tau():
    network = network_of("inner_filters", "dependent")
    model = ServedModel(network, PREPROCESSING, [str(index) for index in range(10)])
    tau = tf.constant([0.2, 0.5, 0.8, 0.9])
    answer = model.predict_tau(tf.constant(real_images(4, "test")[0]), tau)
    _, decisions = network(images(4, "test"), policy=Threshold(tau))
    np.testing.assert_array_equal(answer["gates"], np.asarray(decisions) > 0.5)


def test_closed_channels_come_back_as_zeros():
    placed = PlaceGroups([False, True, False, True])(np.arange(4.0).reshape([1, 1, 1, 4]))
    np.testing.assert_array_equal(placed[0, 0, 0], [0, 0, 0, 1, 0, 0, 2, 3])


@pytest.mark.parametrize("gated", KINDS)
def test_a_bottleneck_is_divided_at_its_last_convolutions(gated):
    network = resnet(50, 10, (32, 32, 3), gated=gated, filter_groups=8, seed=1)
    filters = [block.norm.gamma.shape[0] for block in network.blocks[:4]]
    assert filters == ([256, 256, 256, 512] if gated == "output_filters" else [64, 64, 64, 128])
    plain = resnet(50, 10, (32, 32, 3), gate="none")
    network.build((None, 32, 32, 3))
    for theirs, own in zip(plain.blocks, network.blocks, strict=True):
        shapes = [
            [weight.shape for layer in block.layers_of_branch for weight in layer.weights]
            for block in (theirs, own)
        ]
        assert shapes[0] == shapes[1]
    assert network(images(2), policy=AlwaysOpen())[1].shape == (2, 16 * 8)


def test_noise_of_gated_blocks_stays_what_it_was():
    seeds = [
        [block.noise.seed for block in cifar_resnet(8, 10, gated=gated, seed=1).blocks]
        for gated in ("blocks", *KINDS)
    ]
    assert seeds[0] == seeds[1] == seeds[2]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--gated=output_filters", "--filter_groups=5"], "--filter_groups divides the 16 filters"),
        (["--gated=inner_filters", "--target_rate=0.2"], "is 0.25 or more.*--target_rate=0.2"),
        (["--filter_groups=8"], "--filter_groups belongs to --gated=output_filters or inner_fil"),
        (["--gated=inner_filters", "--gate=none"], "--gated belongs to --gate=dependent or indep"),
        (["--gated=inner_filters", "--gate=stochastic_depth"], "--gated belongs to --gate"),
        (
            ["--gated=output_filters", "--block_targets=t,t,0.5"],
            "--block_targets belongs to --gated=blocks",
        ),
    ],
)
def test_flags_that_make_no_sense_are_refused_by_name(flags, words):
    with pytest.raises(UserError, match=words):
        train_settings("--network=cifar_resnet8", *flags)


def test_arguments_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="divides the filters, here 16"):
        cifar_resnet(8, 10, gated="inner_filters", filter_groups=3)
    with pytest.raises(ValueError, match="`gated` is one of"):
        cifar_resnet(8, 10, gated="filters")
    block = network_of("inner_filters").blocks[0]
    with pytest.raises(ValueError, match="A gate before a `tail`"):
        GatedBlock(block.branch, block.norm, gate=DependentGate(), tail=block.tail)
