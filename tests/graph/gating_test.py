"""Gates in any functional model: which branches, which gates, and nothing else changes."""

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import ops
from own_models import (
    OWN,
    answers,
    any_size,
    assert_same,
    deciding,
    inputs_of,
    nested,
    randomized,
    residual_cnn,
    saved_and_loaded,
    some_decisions,
)

from tfgates.graph.branches import branches
from tfgates.graph.gating import gate
from tfgates.graph.logits import without_softmax
from tfgates.network import columns, gates, num_gates
from tfgates.policies import AlwaysOpen, Threshold


@pytest.mark.parametrize("name", OWN)
def test_all_open_is_the_plain_model(name):
    plain = randomized(OWN[name]())
    network, inputs = gate(plain, seed=1), inputs_of(plain)
    logits, decisions = answers(network, inputs, AlwaysOpen())
    expected = answers(without_softmax(plain), inputs)[0]
    assert np.abs(logits - expected).max() <= 1e-5 * np.abs(expected).max()
    assert decisions.shape == (4, len(branches(plain)))
    assert list(columns(network)) == [branch.name for branch in branches(plain)]


@pytest.mark.parametrize("name", OWN)
def test_each_decision_closes_its_branch_alone(name):
    plain = randomized(OWN[name]())
    network, inputs = gate(plain, seed=1), inputs_of(plain)
    opened = answers(network, inputs, AlwaysOpen())[0]
    for column in range(num_gates(network)):
        decisions = np.ones((4, num_gates(network)), bool)
        decisions[0, column] = False
        logits, decided = answers(network, inputs, deciding(network, decisions))
        np.testing.assert_array_equal(decided, decisions)
        np.testing.assert_allclose(logits[1:], opened[1:], rtol=1e-5, atol=1e-6)
        assert np.abs(logits[0] - opened[0]).max() > 1e-3 * np.abs(opened).max()


@pytest.mark.parametrize("name", OWN)
def test_saved_and_loaded_it_is_the_same(name, tmp_path):
    network = randomized(gate(randomized(OWN[name]()), seed=1))
    inputs = inputs_of(network)
    loaded = saved_and_loaded(network, tmp_path)
    for policy in (deciding(network, some_decisions(network)), Threshold()):
        assert_same(answers(loaded, inputs, policy), answers(network, inputs, policy), 1e-6)


@pytest.mark.parametrize("name", OWN)
def test_gradients_reach_every_weight(name):
    import tensorflow as tf

    network = gate(randomized(OWN[name]()), seed=1)
    with tf.GradientTape() as tape:
        outputs = network(inputs_of(network), training=True)
        loss = ops.mean(outputs["logits"] ** 2) + ops.mean(outputs["decisions"])
    gradients = tape.gradient(loss, network.trainable_weights)
    pairs = zip(network.trainable_weights, gradients, strict=True)
    assert not [weight.path for weight, gradient in pairs if gradient is None]


def test_weights_are_those_of_the_plain_model():
    plain = nested()
    network = gate(plain, seed=1)
    ours, theirs = ({id(one) for one in model.weights} for model in (network, plain))
    assert theirs < ours
    of_gates = {id(one) for layer in gates(network) for one in layer.gate.weights}
    of_noise = {id(layer.noise.state) for layer in gates(network)}
    assert ours - theirs == of_gates | of_noise


def test_a_clone_with_the_same_weights_is_the_same():
    network = randomized(gate(residual_cnn(), seed=1))
    clone = keras.models.clone_model(network)
    clone.set_weights(network.get_weights())
    inputs, policy = inputs_of(network), deciding(network, some_decisions(network))
    assert_same(answers(clone, inputs, policy), answers(network, inputs, policy), 1e-6)


def test_images_of_any_size():
    plain = randomized(any_size())
    network = randomized(gate(plain, seed=1))
    for size in (6, 9):
        inputs = inputs_of(plain, size=size)
        opened = answers(network, inputs, AlwaysOpen())[0]
        np.testing.assert_allclose(opened, plain(inputs), rtol=1e-5, atol=1e-6)


def test_the_mask_of_padded_words_reaches_what_is_inside_and_behind():
    words = keras.Input((6,), dtype="int32")
    x = L.Embedding(9, 8, mask_zero=True)(words)
    for index in range(2):
        x = L.Add(name=f"attended_{index}_add")([x, L.MultiHeadAttention(2, 4)(x, x)])
    plain = randomized(keras.Model(words, L.GlobalAveragePooling1D()(x)))
    inputs = np.array([[1, 2, 3, 0, 0, 0], [4, 5, 6, 7, 8, 1]])
    network = gate(plain)
    np.testing.assert_allclose(
        answers(network, inputs, AlwaysOpen())[0], plain(inputs), rtol=1e-5, atol=1e-6
    )


def test_a_relu_that_is_used_everywhere(tmp_path):
    """Keras would take what the branch starts from for the result of the ReLU inside of it."""
    relu = L.ReLU()
    x = images = keras.Input((8, 8, 3))
    x = relu(L.Conv2D(8, 3, padding="same")(x))
    for _ in range(2):
        y = relu(L.Conv2D(8, 3, padding="same")(x))
        x = relu(x + L.Conv2D(8, 3, padding="same")(y))
    plain = randomized(keras.Model(images, L.Dense(3)(L.GlobalAveragePooling2D()(x))))
    inputs = inputs_of(plain)
    for gated in ("branches", "inner_filters"):
        network = gate(plain, gated=gated, seed=1)
        opened = answers(network, inputs, AlwaysOpen())
        np.testing.assert_allclose(opened[0], plain(inputs), rtol=1e-5, atol=1e-6)
        loaded = saved_and_loaded(network, tmp_path)
        assert_same(answers(loaded, inputs, AlwaysOpen()), opened, 1e-6)


def test_one_of_several_outputs_ends_a_branch():
    x = rows = keras.Input((8,))
    _, y = ops.split(L.Dense(16)(x), 2, axis=-1)
    plain = randomized(keras.Model(rows, L.Dense(3)(x + y)))
    inputs = inputs_of(plain)
    opened = answers(gate(plain), inputs, AlwaysOpen())[0]
    np.testing.assert_allclose(opened, plain(inputs), rtol=1e-5, atol=1e-6)


def test_an_input_keeps_its_name():
    rows = keras.Input((8,), name="rows")
    network = gate(keras.Model(rows, L.Add(name="own_add")([rows, L.Dense(8)(rows)])))
    assert network.input.name == "rows"
