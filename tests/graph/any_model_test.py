"""Models that nobody had in mind: gated, saved, folded and pruned they answer as they did."""

import functools

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import ops
from own_models import answers, assert_same, deciding, randomized, saved_and_loaded
from own_models import inputs_of as numbers_of
from profiled import profiled
from unfamiliar_models import MODELS, residual

from tfgates import GatedClassifier, branches, count, gate, prune
from tfgates.graph.folding import fold
from tfgates.graph.logits import without_softmax
from tfgates.graph.sinking import sink
from tfgates.network import num_gates
from tfgates.policies import AlwaysOpen

TOLERANCE = 1e-5


def inputs_of(model):
    if model.inputs[0].dtype == "int32":
        return np.array(
            [[1, 2, 3, 0, 0, 0], [4, 5, 6, 7, 8, 1], [0, 2, 2, 3, 0, 4], [5, 0, 0, 0, 0, 0]]
        )
    return numbers_of(model)


@functools.cache
def network_of(name):
    """A model of which the gates open for some, what it answers, and inputs."""
    keras.utils.set_random_seed(0)
    plain = randomized(MODELS[name]())
    inputs = inputs_of(plain)
    expected = keras.tree.flatten(plain(inputs, training=False))[0].numpy()
    return gate(plain, seed=1), inputs, expected


def decided(network, opened):
    """Decisions of four inputs, and what the network answers under them."""
    decisions = np.broadcast_to(opened, (4, num_gates(network)))
    return deciding(network, decisions)


def some(network):
    return decided(network, np.random.default_rng(2).random((4, num_gates(network))) < 0.5)


@pytest.mark.parametrize("name", MODELS)
def test_all_open_is_the_plain_model(name):
    network, inputs, expected = network_of(name)
    logits = answers(network, inputs, AlwaysOpen())[0]
    if name == "named_output":
        logits = ops.convert_to_numpy(ops.softmax(logits))
    assert np.abs(logits - expected).max() <= TOLERANCE * np.abs(expected).max()
    closed = answers(network, inputs, decided(network, False))[0]
    assert np.abs(closed - logits).max() > 1e-3 * np.abs(logits).max()


@pytest.mark.parametrize("name", MODELS)
def test_loaded_folded_and_sunk_it_is_the_same(name, tmp_path):
    network, inputs, _ = network_of(name)
    policy = some(network)
    expected = answers(network, inputs, policy)
    for other in (saved_and_loaded(network, tmp_path), fold(network), sink(fold(network))):
        assert_same(answers(other, inputs, policy), expected, TOLERANCE)


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_pruned_it_is_as_it_was_decided(name, opened):
    network, inputs, _ = network_of(name)
    smaller = prune(network, dict.fromkeys(range(num_gates(network)), opened))
    expected = answers(network, inputs, decided(network, opened))[0]
    logits = answers(smaller, inputs)[0]
    assert np.abs(logits - expected).max() <= TOLERANCE * np.abs(expected).max()


@pytest.mark.filterwarnings("error:Layer .* does not support masking")
@pytest.mark.parametrize("name", ["words", "normed_words"])
def test_no_mask_is_said_to_be_lost(name):
    network = gate(MODELS[name](), seed=1)
    answers(network, inputs_of(network))
    answers(prune(network, dict.fromkeys(range(num_gates(network)), False)), inputs_of(network))


def test_a_class_of_ones_own_has_no_branch_by_its_name():
    assert len(branches(MODELS["namesakes"]())) == 1


def ending(end):
    """Returns a model with one branch and such an end."""
    rows = keras.Input((6, 4))
    return keras.Model(rows, end(residual(L.Dense(8)(rows), L.Dense(8))))


class OwnDense(L.Dense):
    """A dense layer of one's own, which may do anything behind its activation."""


@pytest.mark.parametrize(
    "end",
    [
        lambda x: L.GRU(3, activation="softmax")(x),
        lambda x: L.LSTM(3, activation="softmax")(x),
        lambda x: L.Softmax(axis=0)(L.Flatten()(x)),
        lambda x: ops.softmax(L.Flatten()(x), axis=0),
    ],
)
def test_a_softmax_of_something_else_stays(end):
    model = ending(end)
    assert without_softmax(model) is model


def test_a_softmax_in_a_class_of_ones_own_is_refused():
    model = ending(lambda x: OwnDense(3, activation="softmax", name="mine")(L.Flatten()(x)))
    with pytest.raises(ValueError, match=r"ends in OwnDense 'mine'\. Let it return"):
        gate(model)


class Doubled(keras.Model):
    """A functional model that does more than its graph says."""

    multiply_adds = 7

    def call(self, inputs, training=None):
        return 2 * super().call(inputs, training=training)


def doubled():
    rows = keras.Input((8,))
    return Doubled(rows, L.Add()([rows, L.Dense(8)(rows)]), name="doubled")


@pytest.mark.parametrize("use", [branches, gate, count, GatedClassifier])
def test_a_functional_model_with_a_call_of_its_own_is_refused(use):
    with pytest.raises(ValueError, match="Doubled 'doubled' is not a functional model: its own"):
        use(doubled())


def test_inside_of_another_model_it_is_a_layer():
    rows = keras.Input((8,))
    plain = randomized(keras.Model(rows, L.Add()([rows, doubled()(L.Dense(8)(rows))])))
    inputs, network = numbers_of(plain), gate(plain)
    assert num_gates(network) == 1
    opened = answers(network, inputs, AlwaysOpen())[0]
    np.testing.assert_allclose(opened, plain(inputs), rtol=1e-5, atol=1e-6)
    assert count(plain).ungated == 64 + 7


def attended(x, **options):
    mask = ops.sum(x, -1)[:, None] > 0
    return L.MultiHeadAttention(2, 4, **options)(x, x, attention_mask=mask)


@pytest.mark.parametrize(
    "product",
    [
        attended,
        lambda x: attended(x, use_gate=True),
        lambda x: L.MultiHeadAttention(2, 4)(x, key=x[:, :3], value=x[:, :3]),
        lambda x: ops.matmul(np.ones((5, 6), "float32"), x),
        lambda x: ops.matmul(x1=x, x2=ops.ones((8, 3))),
    ],
)
def test_products_of_more_than_two_tensors_as_the_profiler_counts(product):
    import tensorflow as tf

    x = keras.Input((6, 8))
    model = keras.Model(x, product(x))
    assert 2 * count(model).ungated == profiled(model, tf.TensorSpec((1, 6, 8), tf.float32))


def test_a_sequential_model_and_one_of_several_outputs_are_counted():
    layers = [keras.Input((8,)), L.Dense(4), L.Dense(2)]
    assert count(keras.Sequential(layers)).ungated == 8 * 4 + 4 * 2
    rows = keras.Input((8,))
    two = keras.Model(rows, {"a": L.Dense(3)(rows), "b": L.Dense(2)(rows)})
    assert count(two).ungated == 8 * 5
    any_size = keras.Input((None, 4))
    two = keras.Model(any_size, [L.Dense(3)(any_size), L.Dense(2)(any_size)])
    assert count(two, (6, 4)).ungated == 6 * 4 * 5


def test_a_network_of_several_outputs_has_one_that_is_called_logits():
    rows = keras.Input((8,))
    outputs = {"a": L.Dense(3)(rows), "b": L.Dense(2)(rows)}
    for returned in (outputs, list(outputs.values())):
        with pytest.raises(ValueError, match=r'one is called "logits"\. Received: \['):
            GatedClassifier(keras.Model(rows, returned))


def test_a_named_output_is_trained():
    plain = MODELS["named_output"]()
    for network in (gate(plain), keras.Model(plain.inputs[0], {"scores": plain.outputs[0] * 2})):
        model = GatedClassifier(network)
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        history = model.fit(numbers_of(plain), np.arange(4), verbose=0).history
        assert np.isfinite(history["loss"]).all()
