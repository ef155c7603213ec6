"""Which networks are served: any functional model, images -> logits; another is refused by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import gated
from keras import layers as L

from tfgates.data.preprocess import Preprocessing
from tfgates.export.savedmodel import ServedModel
from tfgates.export.skipping import SKIPS, best_skip
from tfgates.gated import Gated
from tfgates.gates import DependentGate
from tfgates.graph.count import count
from tfgates.graph.gating import gate
from tfgates.network import Network, num_gates
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.policies import Threshold

LABELS = [f"class {index}" for index in range(10)]
PREPROCESSING = Preprocessing(16)
TAU = 0.9


def images(count=3):
    return (255 * np.random.default_rng(0).random((count, 16, 16, 3))).astype("float32")


def logits_of(start, **options):
    x = L.Conv2D(8, 3, activation="relu")(L.Rescaling(1 / 255)(start))
    return L.Dense(10, **options)(L.GlobalAveragePooling2D()(x))


def model_of(shape=(16, 16, 3), **options):
    start = keras.Input(shape)
    return keras.Model(start, logits_of(start, **options), name="mine")


def assert_scores(model, probabilities):
    answer = model.predict_images(tf.constant(images()))
    assert set(answer["status"].numpy()) == {b"OK"}
    in_order = np.sort(probabilities, axis=1)[:, ::-1]
    np.testing.assert_allclose(answer["scores"], in_order, atol=1e-5)
    return answer


@pytest.mark.parametrize("kind", ["functional", "Sequential", "softmax", "softmax layer", "inside"])
def test_a_plain_keras_model_is_served(kind):
    network = model_of(activation="softmax" if kind == "softmax" else None)
    if kind == "Sequential":
        network = keras.Sequential([keras.Input((16, 16, 3)), *network.layers[1:]])
    if kind == "softmax layer":
        network = keras.Model(network.input, L.Softmax()(network.output))
    if kind == "inside":
        start = keras.Input((16, 16, 3))
        network = keras.Model(start, network(start))
    outputs = network(images())
    scores = outputs if kind.startswith("softmax") else keras.ops.softmax(outputs)
    model = ServedModel(network, PREPROCESSING, LABELS, top_k=10)
    answer = assert_scores(model, keras.ops.convert_to_numpy(scores))
    assert answer["gates"].shape == (3, 0)
    assert set(answer["macs"].numpy()) == {model.costs.ungated}
    assert (model.skip, model.fixed) == ("none", {})


@pytest.mark.parametrize("skip", SKIPS)
def test_a_network_of_images_of_any_size_is_served_at_one(skip):
    """A gate inside of another one too: their sizes are not known before."""
    start, branch, inside = (keras.Input((None, None, width)) for width in (3, 8, 8))
    x = L.Conv2D(8, 3, padding="same", activation="relu")(L.Rescaling(1 / 255)(start))
    convolution = keras.Model(inside, L.Conv2D(8, 3, padding="same")(inside))
    y, inner = Gated(convolution, small_gate())(branch)
    then = keras.Model(branch, [L.Dense(8)(L.Add()([branch, y])), inner])
    features, opened = Gated(then, small_gate())(x)
    logits = L.Dense(10)(L.GlobalAveragePooling2D()(L.Add()([x, features])))
    network = Network(start, {"logits": logits, "decisions": opened})
    outputs = network(images(), policy=Threshold(0.5))
    model = ServedModel(network, PREPROCESSING, LABELS, top_k=10, skip=skip)
    answer = assert_scores(model, keras.ops.softmax(outputs["logits"]).numpy())
    np.testing.assert_array_equal(answer["gates"], outputs["decisions"].numpy() > 0)
    pixels, kernel = 16 * 16, 3 * 3 * 8 * 8
    # The gate inside is left out with the branch around it; what it closes itself is its own.
    assert model.costs.branches == (pixels * 8 * 8 + 8 * 16 + 16 * 2, pixels * kernel)
    assert model.costs == count(network, (16, 16, 3))


def small_gate():
    return DependentGate(odds=(0.0, 0.01))


def own_classes():
    class Mine(keras.Model):
        def call(self, inputs):
            return inputs

    return Mine(name="mine")


def two_inputs():
    starts = keras.Input((16, 16, 3)), keras.Input((16, 16, 3))
    return keras.Model(starts, logits_of(L.Add()(starts)), name="mine")


def gated_softmax():
    start = keras.Input((16, 16, 8))
    then = keras.Model(start, L.Conv2D(8, 3, padding="same")(start))
    pictures = keras.Input((16, 16, 3))
    features, opened = Gated(then, DependentGate())(L.Conv2D(8, 1)(pictures))
    logits = L.Softmax(name="last")(L.Dense(10)(L.GlobalAveragePooling2D()(features)))
    return Network(pictures, {"logits": logits, "decisions": opened}, name="mine")


REFUSED = {
    "not functional": (
        own_classes,
        "Mine 'mine' is not a functional model: its calls cannot",
    ),
    "two inputs": (two_inputs, r"mine is served images of 16 x 16 x 3.*\(16, 16, 3\), \(16, 16"),
    "another size": (lambda: model_of((32, 32, 3)), r"16 x 16 x 3.*Received.*\(32, 32, 3\)"),
    "grey": (lambda: model_of((16, 16, 1)), r"Received.*\(16, 16, 1\)"),
    "no images": (
        lambda: keras.Model(start := keras.Input((7,)), L.Dense(10)(start)),
        r"inputs \(7,\)",
    ),
    "sigmoid": (
        lambda: model_of(activation="sigmoid", name="last"),
        "softmax over the logits.*mine, which ends in the sigmoid of last",
    ),
    "sigmoid operation": (
        lambda: keras.Model(one := keras.Input((16, 16, 3)), keras.ops.sigmoid(logits_of(one))),
        "ends in the sigmoid of sigmoid",
    ),
    "gated softmax": (gated_softmax, "mine, which ends in the softmax of last"),
    "one logit": (
        lambda: keras.Model(one := keras.Input((16, 16, 3)), L.Dense(1)(L.Flatten()(one))),
        r"at least 2 classes.*\(None, 1\)",
    ),
    "no logits": (
        lambda: keras.Model(one := keras.Input((16, 16, 3)), L.Conv2D(3, 1)(one)),
        r"logits \[B, K\].*\(None, 16, 16, 3\)",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_served_is_refused_in_one_line(kind):
    make, reason = REFUSED[kind]
    with pytest.raises(ValueError, match=reason) as refused:
        ServedModel(make(), PREPROCESSING, LABELS)
    assert "\n" not in str(refused.value)


def test_stochastic_depth_is_served_as_its_expectation():
    network = gated(cifar_resnet(8, 10, input_shape=(16, 16, 3)), "stochastic_depth", seed=1)
    model = ServedModel(network, PREPROCESSING, LABELS, top_k=10)
    assert_scores(model, keras.ops.softmax(network(images())["logits"]).numpy())


class OnlyNumPy(L.Layer):
    multiply_adds = 0

    def call(self, inputs):
        return keras.ops.convert_to_tensor(np.tanh(inputs.numpy()))

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, inputs.dtype)


class Uncounted(L.Layer):
    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], shape[-1]))

    def call(self, inputs):
        return keras.ops.matmul(inputs, self.kernel)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (OnlyNumPy(name="odd"), r"OnlyNumPy 'odd' cannot be exported: .* has no attribute 'numpy'"),
        (Uncounted(name="odd"), r"No rule counts the multiply-adds of Uncounted 'odd'"),
    ],
)
def test_a_layer_that_cannot_be_exported_is_named(layer, reason):
    start = keras.Input((16, 16, 3))
    with pytest.raises(TypeError, match=reason) as refused:
        ServedModel(keras.Model(start, logits_of(layer(start))), PREPROCESSING, LABELS)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_a_network_of_another_precision_is_served_in_float32(policy):
    """Within what its own precision rounds, also by the layers that no rule knows."""
    keras.config.set_dtype_policy(policy)
    if policy == "float64":
        keras.config.set_floatx("float64")
    start = keras.Input((16, 16, 3))
    x = L.Conv2D(8, 3, padding="same")(L.Rescaling(1 / 255)(start))
    y = L.LayerNormalization()(L.BatchNormalization()(L.Conv2D(8, 3, padding="same")(x)))
    network = gate(keras.Model(start, logits_behind(L.Add(name="join_add")([x, y]))), seed=1)
    model = ServedModel(network, PREPROCESSING, LABELS, top_k=10, skip="loop", tau=0.5)
    outputs = network(images(), policy=Threshold(0.5))
    answer = model.predict_images(tf.constant(images()))
    assert answer["scores"].dtype == tf.float32
    scores = np.sort(keras.ops.convert_to_numpy(keras.ops.softmax(outputs["logits"])))[:, ::-1]
    tolerance = {"mixed_bfloat16": 2e-2, "mixed_float16": 2e-3, "float64": 1e-5}[policy]
    np.testing.assert_allclose(answer["scores"], scores, atol=tolerance)


def logits_behind(x):
    return L.Dense(10, dtype="float32")(L.GlobalAveragePooling2D()(L.ReLU()(x)))


def test_auto_asks_how_large_the_branches_are_and_what_serves_them():
    network = gated(cifar_resnet(8, 10, input_shape=(16, 16, 3)), seed=1)
    assert best_skip([100e6] * 3) == "loop"
    assert best_skip([1e6] * 3) == "gather"
    assert best_skip([5e4] * 3) == "gather"
    assert best_skip([0, 0]) == best_skip([]) == "none"
    assert best_skip([100e6] * 3, device="gpu") == "none"
    for device, skip in (("cpu", "gather"), ("gpu", "none")):
        model = ServedModel(network, PREPROCESSING, LABELS, device=device)
        assert model.skip == skip
    assert ServedModel(network, PREPROCESSING, LABELS, device="gpu", skip="loop").skip == "loop"
    every = dict.fromkeys(range(num_gates(network)), True)
    assert ServedModel(network, PREPROCESSING, LABELS, fixed=every).skip == "none"
    with pytest.raises(ValueError, match=r"`device` is one of cpu, gpu\. Received: 'tpu'"):
        ServedModel(network, PREPROCESSING, LABELS, device="tpu")
