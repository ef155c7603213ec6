"""Targets that move: in the training step, over epochs, over replicas, and after a resume."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import small_network
from processes import forked
from runs_alike import assert_trained_alike
from trained import batches, compiled, largest_difference, trained_weights

from tfgates.policies import Sample, Threshold
from tfgates.runs.folder import RunFolder
from tfgates.schedules import Annealed, ExponentialMovingAverage, MovingAverage, Schedule
from tfgates.targets import Target
from tfgates.training.callbacks import EpochRates, EpochSchedule

SCHEDULES = {
    "annealed": Schedule(Annealed((1, 0.9, 0.5), 1)),
    "window of 1": Schedule(MovingAverage()),
    "window of 3": Schedule(MovingAverage(3)),
    "exponential": Schedule(ExponentialMovingAverage(0.8)),
}


def logged(schedule, epochs=3, **arguments):
    """Trains; returns the rates of every batch and the mean target that its loss saw."""
    classifier = compiled(small_network(), schedule=schedule, target_rate=0.5, **arguments)
    seen, observe = [], classifier.target.observe

    def noted(rates):
        tf.py_function(
            lambda *values: seen.append([v.numpy() for v in values]),
            [rates, classifier.target.mean()],
            [],
        )
        observe(rates)

    classifier.target.observe = noted
    classifier.fit(batches(4), epochs=epochs, verbose=0, callbacks=[EpochSchedule()])
    return [np.array(values) for values in zip(*seen, strict=True)]


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_step_sees_the_target_of_its_schedule(name):
    schedule = SCHEDULES[name].target
    rates, targets = logged(SCHEDULES[name])
    expected = []
    for epoch in range(3):
        history = schedule.start(epoch, np.full(3, 0.5))
        for batch in range(4):
            expected.append(history.mean())
            history = np.asarray(schedule.update(history, rates[4 * epoch + batch]))
    np.testing.assert_allclose(targets, expected, atol=1e-6)
    assert len(set(targets.round(6))) > 2


def test_a_schedule_is_the_same_on_two_replicas(mirrored):
    """Of a schedule that follows the rates, which are those of both replicas."""
    schedule = SCHEDULES["window of 3"]
    one, _ = trained_weights(tf.distribute.get_strategy(), "per_batch", schedule)
    two, _ = trained_weights(mirrored, "per_batch", schedule)
    assert largest_difference(one, two) < 1e-10


def test_relaxing_mixes_the_two_losses():
    classifier = compiled(small_network(), target_rate=0.5, schedule=Schedule(relax_epochs=4))
    rates = tf.constant([0.0, 0.5, 0.7])
    of_gates, of_batch = (0.25 + 0.04) / 3, 0.1**2
    for epoch, share in ((0, 0), (1, 0.25), (3, 0.75), (7, 1)):
        classifier.target.begin_epoch(epoch)
        expected = share * of_batch + (1 - share) * of_gates
        np.testing.assert_allclose(classifier.target.loss(rates), expected, rtol=1e-5)


def test_the_cost_weighted_log_is_a_share_of_the_compute():
    classifier = compiled(small_network(), target_rate=[0.2, 0.4, 1.0], gate_weights=[1, 2, 7])
    assert classifier.target.final == pytest.approx(0.2 * 0.1 + 0.4 * 0.2 + 0.7)
    log = classifier.fit(batches(2), verbose=0, callbacks=[EpochRates()]).history
    rates = [log[f"gate/block_0{gate}"][0] for gate in range(3)]
    assert log["weighted_rate"][0] == pytest.approx(np.average(rates, weights=[1, 2, 7]))
    assert log["target_rate"][0] == pytest.approx(classifier.target.final)


def test_without_noise_training_decides_as_the_threshold_and_still_learns():
    logits = tf.Variable(np.random.default_rng(0).normal(0, 2, 1000).astype("float32"))
    scale = tf.Variable(0.0)
    with tf.GradientTape() as tape:
        decisions = Sample(scale)(logits, lambda x: tf.random.normal(tf.shape(x)))
    np.testing.assert_array_equal(decisions, Threshold()(logits))
    probability = 1 / (1 + np.exp(-logits.numpy()))
    np.testing.assert_allclose(
        tape.gradient(decisions, logits), probability * (1 - probability), atol=1e-6
    )


def draws(classifier, count=64):
    """Returns the noise of a training step by name of a gate."""
    given = classifier.policy_of_step(tf.zeros((count, 8, 8, 3))).draws
    return {name: np.asarray(noise) for name, noise in given.items()}


def test_the_noise_of_the_gates_ends_with_its_epoch():
    classifier = compiled(small_network(), schedule=Schedule(sample_epochs=1))
    classifier.target.begin_epoch(0)
    assert min(np.abs(noise).max() for noise in draws(classifier).values()) > 1
    classifier.target.begin_epoch(1)
    assert max(np.abs(noise).max() for noise in draws(classifier).values()) == 0


def test_each_target_follows_its_own_schedule():
    falling = Schedule(Annealed((1, 0.5), 2), sample_epochs=2)
    classifier = compiled(
        small_network(),
        targets=[
            Target(0.5, gates="block_00", schedule=falling),
            Target(0.3, "per_gate", gates=["block_01", "block_02"]),
        ],
    )
    rates = tf.constant([0.9, 0.3, 0.5])
    for epoch, of_first in ((0, 1.0), (1, 1.0), (2, 0.5)):
        classifier.target.begin_epoch(epoch)
        expected = (0.9 - of_first) ** 2 + (0.0 + 0.2**2) / 2
        assert float(classifier.target.loss(rates)) == pytest.approx(expected, rel=1e-5)
        silent = [name for name, noise in draws(classifier).items() if not noise.any()]
        assert silent == (["block_00"] if epoch == 2 else [])


def test_a_gate_of_two_targets_is_drawn_by_both():
    both = [Target(0.5, weight=2.0), Target(0.9, "per_gate", gates="block_02")]
    classifier = compiled(small_network(), targets=both)
    expected = 2 * (0.6 - 0.5) ** 2 + (0.9 - 0.8) ** 2
    assert float(classifier.target.loss(tf.constant([0.4, 0.6, 0.8]))) == pytest.approx(
        expected, rel=1e-5
    )
    # Each gate of each target counts once.
    assert classifier.target.final == pytest.approx((3 * 0.5 + 0.9) / 4)


def test_a_saved_classifier_has_its_targets_without_their_schedules():
    targets = [Target([0.5, 0.4], gates=["*_00", "*_01"], schedule=SCHEDULES["annealed"]), Target()]
    classifier = compiled(small_network(), targets=targets)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(classifier))
    assert again.targets == [dataclasses.replace(targets[0], schedule=Schedule()), Target()]
    assert again.noise.seed == classifier.noise.seed


def test_a_resumed_run_goes_on_with_its_schedules(training, tmp_path):
    flags = (
        "--target_schedule=annealed",
        "--anneal_targets=1,0.8,0.5",
        "--anneal_epochs=1",
        "--relax_epochs=2",
        "--sample_epochs=2",
        "--target_unit=multiply_adds",
    )
    whole, broken = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "broken")
    # A break after two epochs, where every schedule is on its way.
    for run, epochs in ((whole, 4), (broken, 3), (broken, 4)):
        finished = forked(*training(run.path, *flags, f"--epochs={epochs}"), eager=True)
        assert finished.returncode == 0, finished.stderr
    assert_trained_alike(broken, whole)
    targets = [row.split(",") for row in whole.log.read_text().splitlines()]
    column = targets[0].index("target_rate")
    assert [float(row[column]) for row in targets[1:]] == pytest.approx([1, 0.8, 0.5, 0.5])


def test_the_temperature_is_that_of_the_epoch():
    schedule = Schedule(temperatures=(5.0, 0.2), epochs=3)
    classifier = compiled(small_network(), schedule=schedule)
    for epoch, temperature in ((0, 5.0), (1, 1.0), (2, 0.2)):
        classifier.target.begin_epoch(epoch)
        policy = classifier.policy_of_step(tf.zeros((2, 8, 8, 3)))
        assert float(policy.temperature) == pytest.approx(temperature)
    assert compiled(small_network()).target.temperature is None


def test_the_multiplier_is_a_weight_that_follows_the_rates_of_all_replicas(mirrored, tmp_path):
    with mirrored.scope():
        classifier = compiled(
            small_network(synchronized=True), target_rate=0.3, target_weight="auto"
        )
    (multiplier,) = classifier.multipliers
    log = classifier.fit(batches(4), verbose=0).history
    expected = 0.01 * 4 * (log["rate"][0] - 0.3)
    assert float(multiplier.value[0]) == pytest.approx(expected, rel=1e-4)
    classifier.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert float(again.multipliers[0].value[0]) == pytest.approx(expected, rel=1e-4)
    assert again.targets[0].weight == "auto"
    assert not compiled(small_network()).multipliers
