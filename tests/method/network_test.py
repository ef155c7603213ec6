"""Exact sizes of every network, and the contract of the chain."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import randomize, small_network

from tfgates import costs
from tfgates.networks import NETWORKS, NUM_BLOCKS
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.networks.resnet import resnet
from tfgates.policies import AlwaysOpen, Sample, Threshold

# Trainable parameters without gates, gates, multiply-adds without gates and of the gates: at
# 224x224x3 and 1000 classes, or at 32x32x3 and 10 classes.
SIZES = {
    "resnet18": (11_689_512, 8, 1_814_073_344, 23_808),
    "resnet34": (21_797_672, 16, 3_663_761_408, 53_760),
    "resnet50": (25_557_032, 16, 4_089_184_256, 210_432),
    "resnet101": (44_549_160, 33, 7_801_405_440, 489_504),
    "resnet152": (60_192_808, 50, 11_513_626_624, 735_808),
    "cifar_resnet8": (78_042, 3, 12_501_632, 1_120),
    "cifar_resnet14": (175_258, 6, 26_657_408, 3_008),
    "cifar_resnet20": (272_474, 9, 40_813_184, 4_896),
    "cifar_resnet32": (466_906, 15, 69_124_736, 8_672),
    "cifar_resnet56": (855_770, 27, 125_747_840, 16_224),
    "cifar_resnet110": (1_730_714, 54, 253_149_824, 33_216),
}


def trainable(network):
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_gates_and_multiply_adds(name):
    parameters, num_gates, ungated, of_gates = SIZES[name]
    size, classes = (32, 10) if name.startswith("cifar") else (224, 1000)
    plain = NETWORKS[name](classes, gate="none")
    assert trainable(plain) == parameters
    assert plain.num_gates == 0
    gated = NETWORKS[name](classes, gate="dependent")
    assert gated.num_gates == num_gates
    counted = costs.count(gated, (size, size, 3))
    assert counted.ungated == costs.count(plain, (size, size, 3)).ungated == ungated
    assert sum(counted.gates) == of_gates


def test_110_layers_with_gates_have_the_parameters_of_convnet_aig():
    assert trainable(NETWORKS["cifar_resnet110"](10, gate="dependent")) == 1_766_630


def test_multiply_adds_of_a_block_written_out():
    counted = costs.count(cifar_resnet(8, 10), (32, 32, 3))
    assert counted.branches == (
        2 * 32 * 32 * 9 * 16 * 16,
        16 * 16 * 9 * (16 * 32 + 32 * 32),
        8 * 8 * 9 * (32 * 64 + 64 * 64),
    )
    assert counted.always == (32 * 32 * 9 * 3 * 16 + 16 * 16 * 16 * 32 + 8 * 8 * 32 * 64 + 64 * 10)
    np.testing.assert_array_equal(
        counted.executed([[0, 0, 0], [0, 1, 0]]),
        counted.always + sum(counted.gates) + np.array([0, counted.branches[1]]),
    )


def profiled(function, shape):
    """Counts the operations of convolutions and matrix products with TensorFlow's profiler."""
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    profile = tf.compat.v1.profiler.profile(concrete.graph, cmd="scope", options=options)

    def operations(node):
        own = node.float_ops if node.name.endswith(("convolution", "MatMul")) else 0
        return own + sum(operations(child) for child in node.children)

    return operations(profile)


@pytest.mark.parametrize(
    ("name", "size"), [("cifar_resnet8", 16), ("cifar_resnet110", 32), ("resnet50", 224)]
)
def test_multiply_adds_of_every_block_agree_with_the_profiler_of_tensorflow(name, size):
    network = NETWORKS[name](10, gate="dependent", input_shape=(size, size, 3))
    counted = costs.count(network, (size, size, 3))
    shape = network.stem.compute_output_shape((1, size, size, 3))
    outside = profiled(network.stem, (1, size, size, 3))
    for block, branch, gate in zip(network.blocks, counted.branches, counted.gates, strict=True):
        assert profiled(block.branch, shape) == 2 * branch
        # The two outputs of a gate are counted, and only their difference is computed.
        two_outputs = 2 * block.gate.units
        assert profiled(block.gate, shape) == 2 * (gate - two_outputs)
        if block.shortcut is not None:
            outside += profiled(block.shortcut, shape)
        shape = block.branch.compute_output_shape(shape)
    assert outside + profiled(network.head, shape) == 2 * counted.always


def test_logits_and_decisions_and_default_policies():
    network = randomize(small_network())
    images = np.random.default_rng(0).random((16, 8, 8, 3), "float32")
    logits, decisions = network(images)
    assert logits.shape == (16, 10)
    assert decisions.shape == (16, 3)
    np.testing.assert_array_equal(decisions, network(images, policy=Threshold(0.5))[1])
    sampled = np.array([network(images, training=True)[1] for _ in range(4)])
    assert np.isin(sampled, [0, 1]).all()
    assert sampled.std(axis=0).max() > 0


def test_without_gates_the_same_code_is_the_plain_network():
    gated, plain = small_network("independent"), small_network("none")
    # The weights of a gated network come in the order of the plain one, and a log-odds and the
    # state of the noise for each gate.
    shared = [w for w in gated.weights if not w.path.endswith(("log_odds", "state"))]
    for source, weight in zip(shared, plain.weights, strict=True):
        weight.assign(source)
    images = np.random.default_rng(0).random((4, 8, 8, 3), "float32")
    logits, decisions = plain(images, policy=Sample())
    assert decisions.shape == (4, 0)
    np.testing.assert_allclose(logits, gated(images, policy=AlwaysOpen())[0], atol=1e-6)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_logits_and_decisions_in_float32(precision):
    keras.config.set_dtype_policy(precision)
    logits, decisions = small_network()(np.ones((2, 8, 8, 3), "float32"), training=True)
    assert logits.dtype == decisions.dtype == "float32"
    assert np.isfinite(logits).all()


def test_a_network_standardizes_raw_pixels_itself():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 0.125)
    network = cifar_resnet(8, 10, input_shape=(8, 8, 3), statistics=(mean, std))
    inside = cifar_resnet(8, 10, input_shape=(8, 8, 3))
    for weight, source in zip(inside.weights, network.weights, strict=True):
        weight.assign(source)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype("uint8")
    expected, _ = inside(((pixels / 255 - mean) / std).astype("float32"), policy=AlwaysOpen())
    np.testing.assert_allclose(network(pixels, policy=AlwaysOpen())[0], expected, atol=1e-5)


def test_blocks_that_are_always_open_have_no_gate():
    network = cifar_resnet(14, 10, always_open=(0, 4))
    assert [block.gate is None for block in network.blocks] == [True] + [False] * 3 + [True, False]
    assert network.num_gates == 4
    assert network(np.ones((2, 32, 32, 3), "float32"), training=True)[1].shape == (2, 4)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_number_of_blocks_is_known_without_building(name):
    assert SIZES[name][1] == NUM_BLOCKS[name]


def test_bad_arguments_are_refused_by_name():
    with pytest.raises(ValueError, match=r"depth.*18, 34.*52"):
        resnet(52, 10)
    with pytest.raises(ValueError, match=r"depth.*21"):
        cifar_resnet(21, 10)
    with pytest.raises(ValueError, match=r"gate.*'open'"):
        cifar_resnet(8, 10, gate="open")
