"""A softmax at the end of a model is left out, because a network returns logits."""

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import ops
from own_models import answers, inputs_of, randomized, table

from tfgates.graph.gating import gate
from tfgates.graph.logits import without_softmax
from tfgates.policies import AlwaysOpen


def in_the_dense_layer(x):
    return L.Dense(3, activation="softmax", name="classifier")(x)


def in_a_layer_of_its_own(x):
    return L.Softmax()(L.Dense(3, name="classifier")(x))


def in_an_activation(x):
    return L.Activation("softmax")(L.Dense(3, name="classifier")(x))


def in_an_operation(x):
    return ops.softmax(L.Dense(3, name="classifier")(x))


def in_a_model_inside(x):
    features = keras.Input(x.shape[1:])
    return keras.Model(features, in_the_dense_layer(features))(x)


@pytest.mark.parametrize(
    "end",
    [
        in_the_dense_layer,
        in_a_layer_of_its_own,
        in_an_activation,
        in_an_operation,
        in_a_model_inside,
    ],
)
def test_a_softmax_at_the_end_is_left_out(end):
    x = rows = keras.Input((8,))
    x = L.Add(name="one_add")([x, L.Dense(8)(x)])
    plain = randomized(keras.Model(rows, end(x)))
    network, inputs = gate(plain), inputs_of(plain)
    logits = answers(network, inputs, AlwaysOpen())[0]
    assert np.abs(logits.sum(axis=-1) - 1).min() > 1e-3
    np.testing.assert_allclose(ops.softmax(logits), plain(inputs), rtol=1e-5)


def test_logits_stay_as_they_are():
    plain = table()
    assert without_softmax(plain) is plain
