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
    table,
)

import tfgates
from tfgates.gates import DependentGate, IndependentGate
from tfgates.graph.branches import branches
from tfgates.graph.gating import gate, noise_streams, without_softmax
from tfgates.graph.nodes import nodes
from tfgates.network import columns, gates, num_gates, take_policy
from tfgates.policies import AlwaysOpen, Expected, Sample, Threshold


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
        np.testing.assert_allclose(logits[1:], opened[1:], rtol=1e-5)
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


@pytest.mark.parametrize(
    ("where", "chosen"),
    [
        (None, [0, 1, 2]),
        ("layer_1", [1]),
        (["layer_2", "layer_0"], [0, 2]),
        ("layer_*", [0, 1, 2]),
        ("layer_[02]", [0, 2]),
        (lambda branch: branch.name.endswith("1"), [1]),
        (lambda branch: branch.macs > 1023, [0, 1, 2]),
    ],
)
def test_where(where, chosen):
    network = gate(table(), where=where)
    assert [layer.name for layer in gates(network)] == [f"layer_{index}" for index in chosen]


def test_where_without_a_branch():
    with pytest.raises(
        ValueError, match=r"Received: 'layer_9', which fits none of layer_0, layer_1"
    ):
        gate(table(), where=["layer_1", "layer_9"])
    for where in ([], lambda branch: False):
        with pytest.raises(ValueError, match="leave no branch a gate"):
            gate(table(), where=where)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("dependent", {"units": 3, "odds": (0.0, -1.0)}), ("independent", {"odds": (0.5, 1.0)})],
)
def test_options_reach_the_gates(kind, options):
    network = gate(table(), kind, **options)
    for layer in gates(network):
        assert {name: layer.gate.get_config()[name] for name in options} == options
        assert layer.gate.name == f"{layer.name}_gate"
    off, on = options["odds"]
    rates = answers(network, inputs_of(network), Expected())[1]
    np.testing.assert_allclose(rates, 1 / (1 + np.exp(off - on)), atol=0.02)


def test_a_function_makes_the_gates():
    def make(branch):
        return None if branch.name == "layer_1" else IndependentGate(odds=(0.0, float(branch.macs)))

    network = gate(table(), make)
    assert [layer.name for layer in gates(network)] == ["layer_0", "layer_2"]
    assert [layer.gate.odds for layer in gates(network)] == [(0.0, 1024.0)] * 2
    with pytest.raises(ValueError, match=r"makes its gates itself. .*units"):
        gate(table(), make, units=3)
    with pytest.raises(ValueError, match="leave no branch a gate"):
        gate(table(), lambda branch: None)


def test_a_gate_may_be_a_functional_model(tmp_path):
    def make(branch):
        x = features = keras.Input(branch.start.shape[1:])
        x = L.Dense(4, activation="relu")(x)
        return keras.Model(features, L.Dense(1)(x), name=f"{branch.name}_gate")

    network = randomized(gate(table(), make, seed=1))
    inputs = inputs_of(network)
    logits, decisions = answers(network, inputs, Threshold())
    assert decisions.shape == (4, 3)
    (first,) = [node for node in nodes(network) if node.operation.name == "layer_0"]
    before = keras.Model(network.input, first.input_tensors[0])
    odds = np.asarray(first.operation.gate(before(inputs)))[:, 0]
    np.testing.assert_array_equal(decisions[:, 0], odds > 0)
    # Noise drawn for all gates at once.
    policy = deciding(network, some_decisions(network))
    np.testing.assert_array_equal(answers(network, inputs, policy)[1], some_decisions(network))
    loaded = saved_and_loaded(network, tmp_path)
    assert_same(answers(loaded, inputs, Threshold()), (logits, decisions), 1e-6)
    assert tfgates.count(network).gates == 3 * (16 * 4 + 4)


def test_each_gate_draws_noise_of_its_own_and_repeats_it():
    first, again, other = (gate(table(), "independent", seed=seed) for seed in (1, 1, 2))
    inputs = inputs_of(first, count=64)
    drawn = [answers(one, inputs, Sample(noise_scale=9.0))[1] for one in (first, again, other)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).mean() > 0.2
    assert all((drawn[0][:, 0] != drawn[0][:, column]).mean() > 0.2 for column in (1, 2))
    assert len(set(noise_streams(1, 100))) == 100
    assert noise_streams(None, 2) == [None, None]


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


@pytest.mark.parametrize("gated", ["output_filters", "inner_filters"])
@pytest.mark.parametrize("kind", ["dependent", "independent"])
def test_gates_on_groups_of_filters(gated, kind, tmp_path):
    plain = randomized(residual_cnn())
    network = gate(plain, kind, "down", gated=gated, groups=4, seed=1)
    inputs = inputs_of(plain)
    opened = answers(network, inputs, AlwaysOpen())
    assert opened[1].shape == (4, 4)
    np.testing.assert_allclose(
        opened[0], answers(without_softmax(plain), inputs)[0], rtol=1e-5, atol=1e-6
    )
    decisions = some_decisions(network)
    decisions[0] = False
    policy = deciding(network, decisions)
    answered = answers(network, inputs, policy)
    # All closed, the greatest one stays open.
    assert gates(network)[0].keep_one == (gated == "inner_filters")
    assert answered[1][0].sum() == (gated == "inner_filters")
    np.testing.assert_array_equal(answered[1][1:], decisions[1:])
    loaded = saved_and_loaded(network, tmp_path)
    assert_same(answers(loaded, inputs, policy), answered, 1e-6)


def test_groups_close_neighbouring_channels():
    plain = randomized(residual_cnn())
    network = gate(plain, gated="output_filters", groups=2, where="branch_01", seed=1)
    (layer,) = gates(network)
    features = inputs_of(layer.then)
    decisions = np.array([[1, 1], [0, 1], [1, 0], [0, 0]], bool)
    made, decided = layer(features, policy=deciding(network, decisions))
    mask = decisions.repeat(8, axis=-1)[:, None, None, :]
    np.testing.assert_allclose(made, layer.then(features) * mask, atol=1e-6)
    np.testing.assert_array_equal(decided, decisions)


def around_inner(x):
    y = L.Dense(8)(x)
    return L.Add(name="own_add")([x, L.Dense(8)(L.ReLU()(y)) + y])


def tied(x):
    layer = L.Dense(8)
    return L.Add(name="own_add")([x, layer(L.ReLU()(layer(x)))])


def of_one_layer(x):
    return L.Add(name="own_add")([x, L.Dense(8)(x)])


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (around_inner, "what leads around them would stay open"),
        (tied, "a layer stands on both sides of them"),
        (of_one_layer, "it has one such layer only"),
    ],
)
def test_inner_filters_that_are_not_all_there_is(build, why):
    x = keras.Input((8,))
    with pytest.raises(ValueError, match=f"Received: own.*, where {why}. Pass gated='output_filt"):
        gate(keras.Model(x, build(x)), gated="inner_filters")


def test_arguments_out_of_their_range():
    for arguments, why in (
        ({"gate": "learned"}, "`gate` is one of dependent, independent.* Received: 'learned'"),
        ({"gated": "rows"}, "`gated` is one of branches, output_filters.* Received: 'rows'"),
        ({"gated": "output_filters", "groups": 3}, "divides the filters, 16 of layer_0.*groups=3"),
        ({"gated": "output_filters", "groups": 1}, "`groups` is at least 2. Received: 1"),
        ({"units": 0}, "at least 1. Received: units=0"),
    ):
        with pytest.raises(ValueError, match=why):
            gate(table(), **arguments)


def test_images_of_any_size():
    plain = randomized(any_size())
    network = randomized(gate(plain, seed=1))
    for size in (6, 9):
        inputs = inputs_of(plain, size=size)
        opened = answers(network, inputs, AlwaysOpen())[0]
        np.testing.assert_allclose(opened, plain(inputs), rtol=1e-5)


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
        np.testing.assert_allclose(opened[0], plain(inputs), rtol=1e-5)
        loaded = saved_and_loaded(network, tmp_path)
        assert_same(answers(loaded, inputs, AlwaysOpen()), opened, 1e-6)


def test_one_of_several_outputs_ends_a_branch():
    x = rows = keras.Input((8,))
    _, y = ops.split(L.Dense(16)(x), 2, axis=-1)
    plain = randomized(keras.Model(rows, L.Dense(3)(x + y)))
    inputs = inputs_of(plain)
    opened = answers(gate(plain), inputs, AlwaysOpen())[0]
    np.testing.assert_allclose(opened, plain(inputs), rtol=1e-5)


def test_an_input_keeps_its_name():
    rows = keras.Input((8,), name="rows")
    network = gate(keras.Model(rows, L.Add(name="own_add")([rows, L.Dense(8)(rows)])))
    assert network.input.name == "rows"


def closed_around(network):
    """A plain model around a network."""
    inputs = keras.Input(network.input.shape[1:])
    return keras.Model(inputs, network(inputs))


def test_a_plain_model_around_a_network_hands_the_policy_down(tmp_path):
    network = randomized(gate(randomized(residual_cnn()), seed=1))
    inputs, policy = inputs_of(network), deciding(network, some_decisions(network))
    outer = closed_around(network)
    for model in (outer, saved_and_loaded(outer, tmp_path)):
        for each in (policy, AlwaysOpen()):
            assert_same(answers(model, inputs, each), answers(network, inputs, each), 1e-6)


def test_a_policy_goes_two_models_down(tmp_path):
    network = randomized(gate(randomized(residual_cnn()), seed=1))
    inputs, policy = inputs_of(network), deciding(network, some_decisions(network))
    outer = closed_around(closed_around(network))
    for model in (outer, saved_and_loaded(outer, tmp_path)):
        assert take_policy(model) is model
        for each in (policy, AlwaysOpen()):
            assert_same(answers(model, inputs, each), answers(network, inputs, each), 1e-6)


def test_a_plain_model_around_a_network_counts_nothing_wrong():
    network = gate(residual_cnn())
    inputs = keras.Input((8, 8, 3))
    outer = keras.Model(inputs, network(inputs)["logits"], name="around")
    with pytest.raises(ValueError, match=r"around hides the decisions of its gates .*'down'"):
        tfgates.count(outer)


def test_a_gate_of_groups_that_are_too_many():
    x = keras.Input((8,))
    then = keras.Model(x, L.Dense(8)(x))
    with pytest.raises(ValueError, match=r"divides the filters, 8 of mine. Received: groups=3"):
        tfgates.Gated(then, DependentGate(groups=3), name="mine")
