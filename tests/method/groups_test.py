"""Gates on groups of filters (section S2.3): where they stand, training, slicing, export, flags."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import (
    PREPROCESSING,
    STATISTICS,
    features_before,
    node_of,
    randomize,
    real_images,
    train_settings,
)

import tfgates
from tfgates.base.errors import UserError
from tfgates.export.savedmodel import ServedModel
from tfgates.graph.channels import PlaceGroups
from tfgates.graph.count import count
from tfgates.graph.pruning import columns_of, fully_decided, prune, thresholded
from tfgates.network import gates, logits_and_decisions, num_gates
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.networks.resnet import resnet
from tfgates.policies import AlwaysOpen, Sample, Threshold

KINDS = ["output_filters", "inner_filters"]
GROUPS = 4


def network_of(gated, gate="independent"):
    """Returns a network of three blocks; every gate is open for some images or some groups."""
    keras.utils.set_random_seed(3)
    plain = cifar_resnet(8, 10, statistics=STATISTICS)
    network = tfgates.gate(plain, gate, gated=gated, groups=GROUPS, seed=3)
    network = randomize(network, seed=5)
    for layer in gates(network) if gate == "dependent" else ():
        features = features_before(network, layer.name)(images(64), policy=Threshold())
        bias = layer.gate.off_on.bias
        bias.assign(0 * bias)
        # Each group is open for half of the images.
        logits = np.transpose(layer.gate(features))
        bias.assign(np.ravel([[np.median(one), 0] for one in logits]))
    return network


def images(number, split="train"):
    return np.stack([PREPROCESSING(image) for image in real_images(number, split)[0]])


@pytest.mark.parametrize("gated", KINDS)
def test_a_decision_multiplies_the_channels_of_its_group(gated):
    network = network_of(gated, "dependent")
    layer = gates(network)[1]
    features = features_before(network, layer.name)(images(16), policy=Threshold())
    found, decisions = layer(features, policy=Threshold())
    mask = np.repeat(decisions, found.shape[-1] // GROUPS, axis=1)[:, None, None, :]
    np.testing.assert_allclose(found, mask * np.asarray(layer.then(features)), atol=1e-5)
    assert len(np.unique(decisions, axis=0)) > 3


@pytest.mark.parametrize("gated", KINDS)
def test_inner_filters_are_those_before_the_last_convolution(gated):
    network = network_of(gated)
    readers = {"output_filters": "block_01_add", "inner_filters": "block_01_conv_2"}
    reader = node_of(network, readers[gated])
    assert node_of(network, "block_01").outputs[0] is reader.input_tensors[-1]
    assert [layer.keep_one for layer in gates(network)] == [gated == "inner_filters"] * 3


@pytest.mark.parametrize("gated", KINDS)
@pytest.mark.parametrize("gate", ["dependent", "independent"])
def test_each_group_is_trained(gated, gate):
    network = network_of(gated, gate)
    with tf.GradientTape() as tape:
        logits = network(images(8), policy=Sample(), training=True)["logits"]
        loss = tf.reduce_sum(tf.square(logits))
    of_first = gates(network)[0].gate.off_on
    weight = of_first.bias if gate == "dependent" else of_first
    gradient = np.reshape(tape.gradient(loss, weight.value), (GROUPS, -1))
    assert (np.abs(gradient).max(axis=1) > 0).all()


def test_a_closed_group_can_be_opened_again():
    network = network_of("inner_filters")
    gated = node_of(network, "block_00")
    rest = keras.Model(gated.outputs[0], node_of(network, "block_00_norm_2").outputs[0])
    layer, decisions = gated.operation, tf.Variable(np.eye(1, GROUPS, dtype="float32"))
    with tf.GradientTape() as tape:
        features = layer.then(tf.ones([1, 32, 32, 16]))
        branch = rest(features * tf.repeat(decisions, 16 // GROUPS, axis=1)[:, None, None, :])
        total = tf.reduce_sum(tf.square(branch))
    assert (np.abs(tape.gradient(total, decisions)) > 0).all()


@pytest.mark.parametrize("gated", KINDS)
def test_sliced_equals_masked_and_costs_the_predicted_share(gated):
    network = network_of(gated)
    fixed = thresholded(network, Threshold())
    opened = [[fixed[column] for column in indices] for _, indices in columns_of(network)]
    assert any(0 < sum(block) < GROUPS for block in opened)
    pruned = prune(network, fixed)
    expected, decisions = logits_and_decisions(network(images(8), policy=Threshold()))
    np.testing.assert_array_equal(decisions[0], np.ravel(opened))
    np.testing.assert_allclose(pruned(images(8)), expected, rtol=1e-5, atol=1e-5)
    assert num_gates(pruned) == 0
    full, left = count(network), count(pruned)
    assert left.ungated == full.executed(np.ravel(opened))
    assert full.ungated == count(cifar_resnet(8, 10)).ungated
    restored = type(pruned).from_config(pruned.get_config())
    restored.set_weights(pruned.get_weights())
    np.testing.assert_allclose(restored(images(8)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("gated", KINDS)
def test_sliced_groups_keep_the_precision_of_the_run(gated):
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = network_of(gated)
    # As in a tool, which knows the run's precision by its layers alone.
    keras.config.set_dtype_policy("float32")
    pruned = prune(network, thresholded(network, Threshold()))
    expected = network(images(8), policy=Threshold())["logits"]
    # The order of their sums may differ, and bfloat16 has 8 bits.
    np.testing.assert_allclose(pruned(images(8)), expected, atol=0.05)
    assert {layer.dtype_policy.name for layer in pruned.layers if "conv" in layer.name} == {
        "mixed_bfloat16"
    }


def test_a_block_whose_output_groups_are_all_closed_goes():
    network = network_of("output_filters")
    pruned = prune(network, dict.fromkeys(range(3 * GROUPS), False))
    kept = {layer.name for layer in pruned.layers if layer.name.startswith("block")}
    assert kept == {
        *("block_00_relu", "block_01_relu", "block_02_relu"),
        *("block_01_project", "block_01_project_norm"),
        *("block_02_project", "block_02_project_norm"),
    }


def test_of_inner_filters_not_all_are_closed_for_good():
    network = network_of("inner_filters")
    closed = dict.fromkeys(range(3 * GROUPS), False)
    assert fully_decided(network, closed) == {}
    assert num_gates(prune(network, closed)) == 3 * GROUPS
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
    counted = count(network)
    for tau in (0.3, 0.5, 0.9) if gate == "dependent" else (0.5,):
        answer = model.predict_tau(tf.constant(encoded), tf.fill([6], tau))
        found = network(images(6, "test"), policy=Threshold(tau))
        logits, decisions = logits_and_decisions(found)
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
    decisions = network(images(4, "test"), policy=Threshold(tau))["decisions"]
    np.testing.assert_array_equal(answer["gates"], np.asarray(decisions) > 0.5)


def test_closed_channels_come_back_as_zeros():
    placed = PlaceGroups([False, True, False, True])(np.arange(4.0).reshape([1, 1, 1, 4]))
    np.testing.assert_array_equal(placed[0, 0, 0], [0, 0, 0, 1, 0, 0, 2, 3])


@pytest.mark.parametrize("gated", KINDS)
def test_a_bottleneck_is_divided_at_its_last_convolutions(gated):
    network = tfgates.gate(resnet(50, 10, (32, 32, 3)), gated=gated, groups=8, seed=1)
    filters = [layer.then.outputs[0].shape[-1] for layer in gates(network)[:4]]
    assert filters == ([256, 256, 256, 512] if gated == "output_filters" else [64, 64, 64, 128])
    assert network(images(2), policy=AlwaysOpen())["decisions"].shape == (2, 16 * 8)


def test_noise_of_gated_blocks_stays_what_it_was():
    seeds = [
        [
            layer.noise.seed
            for layer in gates(tfgates.gate(cifar_resnet(8, 10), gated=gated, seed=1))
        ]
        for gated in ("branches", *KINDS)
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
            ["--gated=output_filters", "--branch_targets=t,t,0.5"],
            "--branch_targets belongs to --gated=branches",
        ),
    ],
)
def test_flags_that_make_no_sense_are_refused_by_name(flags, words):
    with pytest.raises(UserError, match=words):
        train_settings("--network=cifar_resnet8", *flags)


def test_arguments_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="`groups` divides the filters, 16 of block_00"):
        tfgates.gate(cifar_resnet(8, 10), gated="inner_filters", groups=3)
    with pytest.raises(ValueError, match="`gated` is one of"):
        tfgates.gate(cifar_resnet(8, 10), gated="filters")
