"""Models that nobody had in mind: exported they answer as the masked model, or are refused."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from functional_models import Thresholds
from keras import layers as L
from own_models import inputs_of as numbers_of
from own_models import randomized
from unfamiliar_models import CLASSES, MODELS, conv, of_images, residual

from tfgates import gate
from tfgates.data.preprocess import Preprocessing
from tfgates.export.savedmodel import ServedModel
from tfgates.export.servable import servable
from tfgates.export.skipping import serve
from tfgates.network import logits_and_decisions, num_gates

LABELS = [str(label) for label in range(CLASSES)]


def answer(network, inputs, log_odds, skip="gather"):
    """Returns scores and decisions of an exported network, and its graph."""
    specs = [tf.TensorSpec([None, *part.shape[1:]], part.dtype) for part in (inputs, log_odds)]
    run = tf.function(
        serve(network, skip), [*specs, tf.TensorSpec([None], tf.bool)], autograph=False
    )
    return run(inputs, log_odds, np.ones(len(inputs), bool)), run.get_concrete_function().graph


@functools.cache
def exported(name, skip="gather", gated="branches"):
    """What a model answers as it is exported, and masked; thresholds differ from gate to gate."""
    keras.utils.set_random_seed(0)
    network = randomized(gate(randomized(MODELS[name]()), gated=gated, groups=2, seed=1))
    inputs = numbers_of(network)
    if network.inputs[0].dtype == "int32":
        inputs = np.array([[1, 2, 3, 0, 0, 0], [0, 2, 2, 3, 0, 4]] * 2, "int32")
    log_odds = np.random.default_rng(3).normal(0, 2, (4, num_gates(network))).astype("float32")
    outputs = network(inputs, policy=Thresholds(network, log_odds), training=False)
    expected = keras.ops.softmax(outputs["logits"]), outputs["decisions"] > 0.5
    if network.inputs[0].shape[0] is not None:
        network = servable(network, 8)
    received, graph = answer(network, inputs, log_odds, skip)
    return received, expected, graph


CASES = [*((name,) for name in MODELS), ("words", "loop"), ("one_batch_size", "loop")]
CASES += [("normed_words", "gather", "output_filters")]


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_exported_is_masked(case):
    received, expected, _ = exported(*case)
    for ours, theirs in zip(received, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_no_depthwise_convolution_of_unequal_strides():
    """TensorFlow has none without oneDNN."""
    operations = [one for part in functions(exported("unequal_strides")[2]) for one in part]
    found = [one for one in operations if one.type == "DepthwiseConv2dNative"]
    assert found
    assert {len(set(one.get_attr("strides")[1:3])) for one in found} == {1}


def functions(graph):
    """Returns the operations of a graph and of the functions that it calls, a list of each."""
    inner = [graph._get_function(name).graph for name in graph._functions]
    return [graph.get_operations(), *(part for one in inner for part in functions(one))]


@pytest.mark.parametrize("name", ["augmented", "named_output", "equal_names"])
def test_without_gates_it_is_the_plain_model(name):
    plain = randomized(MODELS[name]())
    inputs = numbers_of(plain)
    logits, _ = logits_and_decisions(plain(inputs, training=False))
    expected = logits if name == "named_output" else keras.ops.softmax(logits)
    received, _ = answer(servable(plain, 8), inputs, np.zeros((4, 1), "float32"))
    np.testing.assert_allclose(received[0], expected, atol=1e-5)


class Doubled(keras.Model):
    """A functional model that does more than its graph says."""

    def call(self, inputs, training=None):
        return 2 * super().call(inputs, training=training)


def doubled():
    plain = MODELS["augmented"]()
    return Doubled(plain.input, plain.output, name="doubled")


def of_four_images():
    images = keras.Input((8, 8, 3), batch_size=4)
    x = keras.ops.reshape(residual(conv()(images), conv()), (4, 512))
    return keras.Model(images, L.Dense(CLASSES)(x), name="of_four")


def of_several_outputs():
    plain = MODELS["augmented"]()
    return keras.Model(plain.input, [plain.output, plain.output * 2], name="of_several")


def softmax_of_tensorflow():
    plain = MODELS["augmented"]()
    return keras.Model(plain.input, L.Activation(tf.nn.softmax)(plain.output), name="scores")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (doubled, "its own `call` runs"),
        (of_four_images, r"Received: of_four, which makes outputs \(4, 5\) of them"),
        (of_several_outputs, r'one is called "logits"\. Received: \[0, 1\]'),
        (softmax_of_tensorflow, "ends in the softmax_v2 of"),
    ],
)
def test_what_cannot_be_served_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        ServedModel(build(), Preprocessing(8), LABELS)


def test_a_layer_that_makes_another_shape_at_inference_is_refused():
    """Keras's RandomCrop crops in training alone."""
    plain = of_images(lambda x: residual(L.RandomCrop(6, 6, name="crop")(x), conv()))()
    with pytest.raises(TypeError, match=r"Received: crop, \(None, 6, 6, 8\) and then"):
        answer(plain, numbers_of(plain), np.zeros((4, 1), "float32"))
