"""Early exits: nested gates that go on with the rest of a network, or leave with a classifier."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L
from own_models import answers, assert_same, deciding, inputs_of, randomized, saved_and_loaded

from tfgates.gated import Gated
from tfgates.gates import DependentGate
from tfgates.graph.copying import named_layers
from tfgates.graph.count import count
from tfgates.graph.folding import fold
from tfgates.graph.nodes import nodes
from tfgates.graph.pruning import expected, prune
from tfgates.graph.sinking import sink
from tfgates.network import Network, columns, gates, num_gates
from tfgates.policies import AlwaysOpen, Expected, Threshold
from tfgates.stochastic_depth import FixedGate

# The decisions of the first exit and of the second one, which counts where the first goes on.
DECISIONS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], bool)
REACHED = DECISIONS & DECISIONS[:, :1]


def stage(x, name):
    x = L.BatchNormalization(name=f"{name}_norm")(L.Conv2D(8, 3, padding="same", name=name)(x))
    return L.ReLU(name=f"{name}_relu")(x)


def classifier(x, name):
    return L.Dense(3, name=f"{name}_dense")(L.GlobalAveragePooling2D(name=f"{name}_average")(x))


def on_features(build, name):
    features = keras.Input((8, 8, 8))
    return keras.Model(features, build(features, name))


def with_exits(make=lambda: DependentGate(units=4)):
    """Three stages, and an exit behind each of the first two."""
    end = keras.Input((8, 8, 8))
    second = Gated(
        then=keras.Model(end, classifier(stage(end, "stage_3"), "end")),
        gate=make(),
        otherwise=on_features(classifier, "exit_2"),
        seed=2,
        name="gate_2",
    )
    middle = keras.Input((8, 8, 8))
    first = Gated(
        then=keras.Model(middle, list(second(stage(middle, "stage_2")))),
        gate=make(),
        otherwise=on_features(classifier, "exit_1"),
        seed=1,
        name="gate_1",
    )
    images = keras.Input((8, 8, 3))
    logits, decisions = first(stage(images, "stage_1"))
    return Network(images, {"logits": logits, "decisions": decisions}, name="exits")


def by_hand(network, images):
    """The logits at exit 1, at exit 2 and at the end, by calls of the layers alone."""
    layers = named_layers(network)
    found, x = [], images
    for index, name in enumerate(("exit_1", "exit_2", "end"), 1):
        x = layers[f"stage_{index}_norm"](layers[f"stage_{index}"](x), training=False)
        x = layers[f"stage_{index}_relu"](x)
        found.append(np.asarray(layers[f"{name}_dense"](layers[f"{name}_average"](x))))
    return found


def close(received, expected):
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)


def test_an_image_leaves_where_its_gates_say():
    network = randomized(with_exits())
    images = inputs_of(network)
    exits = by_hand(network, images)
    logits, decisions = answers(network, images, deciding(network, DECISIONS))
    np.testing.assert_array_equal(decisions, REACHED)
    for image, end in enumerate((0, 0, 1, 2)):
        close(logits[image], exits[end][image])
    close(answers(network, images, AlwaysOpen())[0], exits[2])
    # Weighted by their probabilities they are one answer.
    logits, decisions = answers(network, images, Expected())
    first, second = decisions[:, :1], decisions[:, 1:]
    close(logits, (1 - first) * exits[0] + (first - second) * exits[1] + second * exits[2])


def test_names_and_columns():
    network = with_exits()
    assert columns(network) == {"gate_1": slice(0, 1), "gate_2": slice(1, 2)}
    assert num_gates(network) == 2
    assert [layer.num_decisions for layer in gates(network)] == [2, 1]


def test_a_step_moves_every_weight():
    network = randomized(with_exits())
    images, labels = inputs_of(network, 16), np.arange(16) % 3
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    with tf.GradientTape() as tape:
        outputs = network(images, training=True)
        loss = loss_of(labels, outputs["logits"]) + tf.reduce_mean(outputs["decisions"])
    weights = network.trainable_weights
    before = [np.asarray(weight) for weight in weights]
    keras.optimizers.SGD(0.1).apply(tape.gradient(loss, weights), weights)
    moved = {
        weight.path
        for weight, old in zip(weights, before, strict=True)
        if not np.array_equal(weight, old)
    }
    # A batch norm takes the bias before it away again.
    in_vain = {
        weight.path
        for weight in weights
        if weight.path.endswith("bias") and ("stage" in weight.path or "hidden" in weight.path)
    }
    assert len(in_vain) == 5
    assert moved >= {weight.path for weight in weights} - in_vain


def test_saved_and_loaded_it_is_the_same(tmp_path):
    network = randomized(with_exits())
    images = inputs_of(network)
    loaded = saved_and_loaded(network, tmp_path)
    assert [layer.name for layer in gates(loaded)] == ["gate_1", "gate_2"]
    for policy in (deciding(network, DECISIONS), Threshold(), Expected()):
        assert_same(answers(loaded, images, policy), answers(network, images, policy), 1e-6)


def test_folded_and_sunk_it_is_the_same():
    network = randomized(with_exits())
    images, policy = inputs_of(network), deciding(network, DECISIONS)
    before = answers(network, images, policy)
    folded = fold(network)
    kinds = {type(node.operation).__name__ for layer in gates(folded) for node in nodes(layer.then)}
    assert "BatchNormalization" not in kinds
    for model in (folded, sink(folded)):
        assert_same(answers(model, images, policy), before)


@pytest.mark.parametrize(
    "fixed",
    [
        {column: decision for column, decision in enumerate(decided) if decision is not None}
        for decided in itertools.product((True, False, None), repeat=2)
    ],
    ids=str,
)
def test_pruned_it_is_the_same(fixed, tmp_path):
    network = randomized(with_exits())
    images, decisions = inputs_of(network), DECISIONS.copy()
    for column, decision in fixed.items():
        decisions[:, column] = decision
    before = answers(network, images, deciding(network, decisions))
    pruned = prune(network, fixed)
    # Without the first there is no second.
    live = [] if fixed.get(0) is False else [column for column in (0, 1) if column not in fixed]
    assert [layer.name for layer in gates(pruned)] == [f"gate_{column + 1}" for column in live]
    after = answers(pruned, images, deciding(pruned, decisions[:, live]))
    assert_same(after, (before[0], before[1][:, live]))
    loaded = saved_and_loaded(pruned, tmp_path)
    close(answers(loaded, images)[0], answers(pruned, images)[0])


def test_multiply_adds_are_those_up_to_the_exit():
    network = with_exits()
    counted, of_a_gate = count(network), 8 * 4 + 4 * 2
    first, later, leaving = 64 * 9 * 3 * 8, 64 * 9 * 8 * 8, 8 * 3
    ran = [
        first + of_a_gate + leaving,
        first + of_a_gate + leaving,
        first + later + 2 * of_a_gate + leaving,
        first + 2 * later + 2 * of_a_gate + leaving,
    ]
    np.testing.assert_array_equal(counted.executed(REACHED), ran)
    assert counted.gates == of_a_gate
    assert counted.ungated == first + 2 * later + leaving
    for fixed, exit_at in (({0: False}, 0), ({0: True, 1: False}, 2), ({0: True, 1: True}, 3)):
        gates_gone = of_a_gate * (1 if exit_at == 0 else 2)
        assert count(prune(network, fixed)).always == ran[exit_at] - gates_gone


def test_expected_exits_are_averages():
    network = randomized(with_exits(lambda: FixedGate(0.3)))
    images, merged = inputs_of(network), expected(network)
    assert num_gates(merged) == 0
    close(merged(images), answers(network, images, Expected())[0])


def test_several_groups_have_no_exit():
    arm = on_features(classifier, "exit")
    with pytest.raises(ValueError, match=r"runs where one gate is closed. Received: a gate of 3"):
        Gated(on_features(classifier, "end"), DependentGate(groups=3), arm)
