"""Rates over an epoch and over some steps: of the images that reach a gate, under its name."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import exits_network, randomize, set_odds, small_network
from trained import batches, compiled

from tfgates.network import gates
from tfgates.policies import Expected, Threshold, log_odds
from tfgates.targets import Target
from tfgates.training.callbacks import EpochRates, RateLog
from tfgates.training.rates import GateRates

NAMES = ["block_00", "block_01", "block_02"]


def test_gate_rates_are_means_over_weighted_images():
    metric = GateRates([None, None], [1.0, 3.0])
    metric.update_state(np.array([[1.0, 0.0], [1.0, 1.0]]))
    metric.update_state(np.array([[0.0, 0.0], [1.0, 0.0]]), sample_weight=np.array([1.0, 0.0]))
    result = {name: float(value) for name, value in metric.result().items()}
    assert result == pytest.approx({"rate": 1 / 2, "weighted_rate": (2 / 3 + 3 * 1 / 3) / 4})
    np.testing.assert_allclose(metric.rates(), [2 / 3, 1 / 3], rtol=1e-6)
    assert float(GateRates([]).result()["rate"]) == 1.0
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert (again.parents, again.gate_weights) == ([None, None], [1.0, 3.0])


def test_of_a_gate_inside_of_another_one_the_images_that_reach_it_count():
    metric = GateRates([None, 0])
    metric.update_state(np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))
    np.testing.assert_allclose(metric.rates(), [0.5, 0.5])
    assert float(metric.result()["rate"]) == 0.5


class Seen(keras.callbacks.Callback):
    """Keeps the logs that a callback in its place sees."""

    def on_train_begin(self, logs=None):
        self.steps, self.epochs = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(dict(logs))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(dict(logs))


@pytest.mark.parametrize("strategy_name", ["one", "mirrored"])
def test_an_epoch_logs_the_rates_of_training_and_validation_by_name(mirrored, strategy_name):
    strategy = mirrored if strategy_name == "mirrored" else tf.distribute.get_strategy()
    with strategy.scope():
        classifier = compiled(set_odds(small_network("independent"), [2.0, 0.0, -2.0]), 0.0)
    before, after = Seen(), Seen()
    classifier.fit(
        batches(4),
        epochs=2,
        verbose=0,
        validation_data=batches(2),
        callbacks=[before, EpochRates(), after],
    )
    for name in NAMES:
        assert not any(f"gate/{name}" in log for log in (*before.epochs, *after.steps))
    for log in after.epochs:
        rates, of_validation = (
            [log[f"{prefix}gate/{name}"] for name in NAMES] for prefix in ("", "val_")
        )
        # Of 64 draws each; training samples, validation decides by the threshold 0.5.
        np.testing.assert_allclose(rates, [0.88, 0.5, 0.12], atol=0.25)
        assert of_validation == [1.0, 0.0, 0.0]
        assert log["rate"] == pytest.approx(np.mean(rates), abs=1e-6)
        assert log["val_rate"] == pytest.approx(1 / 3)


def test_without_validation_an_epoch_logs_the_rates_of_training():
    classifier = compiled(small_network())
    log = classifier.fit(batches(2), verbose=0, callbacks=[EpochRates()]).history
    assert {name for name in log if "gate/" in name} == {f"gate/{name}" for name in NAMES}
    assert log["rate"][0] == pytest.approx(np.mean([log[f"gate/{name}"][0] for name in NAMES]))


def test_the_log_of_rates_has_a_row_for_every_few_steps(tmp_path):
    classifier = compiled(small_network())
    rates = RateLog(tmp_path / "rates.csv", every=2)
    log = classifier.fit(batches(5), epochs=2, verbose=0, callbacks=[EpochRates(), rates]).history
    with rates.path.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", *NAMES]
    assert [row["step"] for row in rows] == ["2", "4", "6", "8", "10"]
    # The second epoch: its first step is not in a row of its own.
    for name in NAMES:
        found = [float(row[name]) for row in rows[2:]]
        of_all = (found[0] + 2 * found[1] + 2 * found[2]) / 5
        assert of_all == pytest.approx(log[f"gate/{name}"][1], abs=1e-4)


def test_a_target_inside_of_a_gate_is_of_the_images_that_reach_it():
    network = randomize(exits_network(), seed=7)
    contrasts = np.linspace(0.1, 3, 32)[:, None, None, None]
    images = contrasts * np.random.default_rng(3).normal(size=(32, 8, 8, 3))
    # Half of the images that come to exit_2 go on.
    reaching, going_on = np.transpose(network(images, policy=Expected())["decisions"])
    odds = log_odds(going_on / reaching)[reaching > 0.5]
    gates(network)[1].gate.off_on.bias.assign_add([np.median(odds), 0.0])
    targets = [Target(0.1, "per_gate", gates="exit_2", weight=10.0)]
    classifier = compiled(network, targets=targets)
    decisions = np.asarray(network(images, policy=Threshold())["decisions"])
    assert 0 < decisions[:, 1].sum() < decisions[:, 0].sum() < 32
    of_those_that_come = decisions[:, 1].sum() / decisions[:, 0].sum()
    labels = np.arange(32) % 10
    found = classifier.evaluate(images, labels, batch_size=32, verbose=0, return_dict=True)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    expected = float(loss(labels, classifier(images))) + 10 * (of_those_that_come - 0.1) ** 2
    assert found["loss"] == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(
        classifier.gate_rates.rates(), [decisions[:, 0].mean(), of_those_that_come], rtol=1e-6
    )


def test_of_several_targets_each_draws_its_own_gates():
    targets = [Target(1.0, gates="block_00", weight=20.0), Target(0.2, gates=["block_0[12]"])]
    classifier = compiled(set_odds(small_network("independent"), 0.0), 0.5, targets=targets)
    log = classifier.fit(batches(8), epochs=6, verbose=0, callbacks=[EpochRates()]).history
    assert log["target_rate"] == pytest.approx([(1.0 + 0.2 + 0.2) / 3] * 6)
    assert classifier.target.final == pytest.approx((1.0 + 0.2 + 0.2) / 3)
    assert log["gate/block_00"][-1] > 0.9
    assert log["gate/block_01"][-1] + log["gate/block_02"][-1] < 1.0


def test_a_gate_without_a_target_learns_from_the_labels_alone():
    network = set_odds(small_network("independent"), 0.0)
    classifier = compiled(network, targets=[Target(0.0, gates="block_00", weight=0.0)])
    rates = tf.constant([0.3, 0.4, 0.5])
    assert float(classifier.target.loss(rates)) == 0
    before = [np.asarray(layer.gate.off_on) for layer in gates(network)]
    classifier.fit(batches(2), verbose=0)
    for layer, odds in zip(gates(network), before, strict=True):
        assert np.abs(np.asarray(layer.gate.off_on) - odds).max() > 0
