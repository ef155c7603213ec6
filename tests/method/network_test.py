"""Exact sizes of every network, gated and plain, and what a network returns."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import features_before, node_of, randomize, small_network
from own_models import deciding
from profiled import profiled

import tfgates
from tfgates.graph.count import count
from tfgates.network import gates, logits_and_decisions, num_gates
from tfgates.networks import NETWORKS
from tfgates.networks.cifar_densenet import cifar_densenet
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.networks.resnet import resnet
from tfgates.policies import AlwaysOpen, Sample, Threshold
from tfgates.settings.choices import NUM_BRANCHES

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
    "cifar_densenet16": (44_410, 6, 19_943_904, 3_072),
    "cifar_densenet40": (176_122, 18, 72_365_352, 21_888),
    # As published, with these parameters: 4.51 % error on CIFAR-10.
    "cifar_densenet100": (769_162, 48, 287_929_692, 142_848),
}
# Trainable parameters with gates, as published.
OF_CONVNET_AIG = {"cifar_resnet110": 1_766_630, "resnet50": 25_557_032 + 211_232}


def trainable(network):
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_gates_and_multiply_adds(name):
    parameters, gates_of_it, ungated, of_gates = SIZES[name]
    plain = NETWORKS[name](10 if name.startswith("cifar") else 1000)
    assert trainable(plain) == parameters
    assert num_gates(plain) == 0
    gated = tfgates.gate(plain)
    assert num_gates(gated) == gates_of_it == NUM_BRANCHES[name]
    counted = count(gated)
    assert counted.ungated == count(plain).ungated == count(plain).always == ungated
    assert counted.gates == of_gates
    assert trainable(gated) == OF_CONVNET_AIG.get(name, trainable(gated))


def test_multiply_adds_of_a_block_written_out():
    counted = count(tfgates.gate(cifar_resnet(8, 10)))
    assert counted.branches == (
        2 * 32 * 32 * 9 * 16 * 16,
        16 * 16 * 9 * (16 * 32 + 32 * 32),
        8 * 8 * 9 * (32 * 64 + 64 * 64),
    )
    assert counted.always == (32 * 32 * 9 * 3 * 16 + 16 * 16 * 16 * 32 + 8 * 8 * 32 * 64 + 64 * 10)
    np.testing.assert_array_equal(
        counted.executed([[0, 0, 0], [0, 1, 0]]),
        counted.always + counted.gates + np.array([0, counted.branches[1]]),
    )


@pytest.mark.parametrize(
    ("name", "size"), [("cifar_resnet8", 16), ("cifar_resnet110", 32), ("resnet50", 224)]
)
def test_multiply_adds_of_every_block_agree_with_the_profiler_of_tensorflow(name, size):
    plain = NETWORKS[name](10, input_shape=(size, size, 3))
    network = tfgates.gate(plain)
    counted = count(network)
    for layer, branch in zip(gates(network), counted.branches, strict=True):
        features = tf.TensorSpec((1, *layer.then.input.shape[1:]))
        assert profiled(layer.then, features) == 2 * branch
        # The two outputs of a gate are counted, and only their difference is computed.
        two_outputs = 2 * layer.gate.units
        assert profiled(layer.gate, features) == 2 * (layer.gate.multiply_adds - two_outputs)
    everything = counted.always + sum(counted.branches)
    assert profiled(plain, tf.TensorSpec((1, size, size, 3))) == 2 * everything


def test_a_closed_dense_layer_adds_zeros():
    network = randomize(tfgates.gate(cifar_densenet(10, 10, (8, 8, 3), growth=4)))
    names = ["block_1_layer_01", "block_2_layer_01", "block_3_layer_01"]
    assert [layer.name for layer in gates(network)] == names
    joins = [node_of(network, f"{name}_concat").outputs[0] for name in names]
    images = np.random.default_rng(0).random((4, 8, 8, 3), "float32")
    decisions = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 0]], "float32")
    features = keras.Model(network.input, joins)(images, policy=deciding(network, decisions))
    for column, joined in enumerate(features):
        added = np.abs(joined[..., -4:]).max(axis=(1, 2, 3))
        np.testing.assert_array_equal(added > 0, decisions[:, column] > 0)


def test_logits_and_decisions_and_default_policies():
    network = randomize(small_network())
    images = np.random.default_rng(0).random((16, 8, 8, 3), "float32")
    logits, decisions = logits_and_decisions(network(images))
    assert logits.shape == (16, 10)
    assert decisions.shape == (16, 3)
    of_half = network(images, policy=Threshold(0.5))["decisions"]
    np.testing.assert_array_equal(decisions, of_half)
    sampled = np.array([network(images, training=True)["decisions"] for _ in range(4)])
    assert np.isin(sampled, [0, 1]).all()
    assert sampled.std(axis=0).max() > 0


@pytest.mark.parametrize("gate", ["dependent", "independent", "stochastic_depth"])
def test_with_all_gates_open_it_is_the_plain_network(gate):
    """The layers of a gated network are those of the plain one."""
    plain = randomize(small_network("none"))
    network = small_network(gate)
    theirs = {weight.path: weight for weight in plain.weights}
    own = [weight for weight in network.weights if weight.path in theirs]
    for weight in own:
        weight.assign(theirs[weight.path])
    assert len(own) == len(theirs)
    images = np.random.default_rng(0).random((4, 8, 8, 3), "float32")
    opened = network(images, policy=AlwaysOpen())["logits"]
    logits, decisions = logits_and_decisions(plain(images))
    assert decisions.shape == (4, 0)
    np.testing.assert_allclose(logits, opened, atol=1e-6)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_logits_and_decisions_in_float32(precision):
    keras.config.set_dtype_policy(precision)
    found = small_network()(np.ones((2, 8, 8, 3), "float32"), training=True)
    assert found["logits"].dtype == found["decisions"].dtype == "float32"
    assert np.isfinite(found["logits"]).all()


def test_a_network_standardizes_raw_pixels_itself():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 0.125)
    network = cifar_resnet(8, 10, (8, 8, 3), statistics=(mean, std))
    inside = cifar_resnet(8, 10, (8, 8, 3))
    inside.set_weights(network.get_weights())
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype("uint8")
    expected = inside(((pixels / 255 - mean) / std).astype("float32"))
    np.testing.assert_allclose(network(pixels), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["block_01_conv_1", "block_02_conv_1"])
def test_a_strided_convolution_is_padded_evenly_as_published(name):
    """With "same", Keras would pad the right and the bottom alone."""
    network = cifar_resnet(8, 10, (8, 8, 3))
    convolution = node_of(network, name)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    inputs = features_before(network, f"{name}_pad")(images)
    found = keras.Model(network.input, convolution.outputs[0])(images)
    np.testing.assert_allclose(found, strided(inputs, convolution.operation.kernel), atol=1e-4)


def strided(features, kernel):
    """A 3x3 convolution of stride 2 in NumPy, one zero around the features on every side."""
    padded = np.pad(np.asarray(features), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.einsum("byxchw,hwcd->byxd", windows[:, ::2, ::2], np.asarray(kernel))


def test_blocks_without_a_gate_are_always_open():
    plain = cifar_resnet(14, 10)
    network = tfgates.gate(plain, where=lambda branch: branch.name not in ("block_00", "block_04"))
    names = [layer.name for layer in gates(network)]
    assert names == ["block_01", "block_02", "block_03", "block_05"]
    found = network(np.ones((2, 32, 32, 3), "float32"), policy=Sample())["decisions"]
    assert found.shape == (2, 4)


def test_bad_arguments_are_refused_by_name():
    with pytest.raises(ValueError, match=r"depth.*18, 34.*52"):
        resnet(52, 10)
    with pytest.raises(ValueError, match=r"depth.*21"):
        cifar_resnet(21, 10)
    with pytest.raises(ValueError, match=r"6 n \+ 4.*depth=42"):
        cifar_densenet(42, 10)
