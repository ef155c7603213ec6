"""Schedules against trajectories that are written by hand (sections S2.1, S2.2)."""

import numpy as np
import pytest

from tfgates.schedules import (
    Annealed,
    Constant,
    ExponentialMovingAverage,
    MovingAverage,
    Schedule,
)
from tfgates.settings.target_values import annealing_stages

TARGETS = np.array([0.8, 0.8, 0.9])


def trajectory(schedule, rates, target=0.4):
    """Returns the target before the first batch and after each, of one gate in one epoch."""
    history = schedule.start(3, np.array([target]))
    targets = [float(np.mean(history))]
    for rate in rates:
        history = np.asarray(schedule.update(history, np.array([rate])))
        targets.append(float(np.mean(history)))
    return targets


def test_a_constant_target_stays():
    assert trajectory(Constant(), [0.9, 0.1]) == [0.4, 0.4, 0.4]


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (2, [1, 1, 0.95, 0.95, 0.9, 0.9, 0.85, 0.85, 0.8, 0.8, 0.8]),
        (1, [1, 0.95, 0.9, 0.85, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8]),
    ],
)
def test_annealing_comes_down_step_by_step(epochs, expected):
    schedule = Annealed((1, 0.95, 0.9, 0.85, 0.8), epochs)
    found = [schedule.start(epoch, TARGETS) for epoch in range(11)]
    assert [history.shape for history in found] == [(1, 3)] * 11
    assert [history[0, 0] for history in found] == expected
    # A gate whose own target is higher keeps it.
    assert [history[0, 2] for history in found] == [max(target, 0.9) for target in expected]


def test_after_annealing_each_gate_has_its_own_target():
    schedule = Annealed((1, 0.8), 1)
    assert schedule.start(0, np.array([0.3, 0.8])).tolist() == [[1, 1]]
    assert schedule.start(1, np.array([0.3, 0.8])).tolist() == [[0.3, 0.8]]


@pytest.mark.parametrize(
    ("target", "step", "expected"),
    [
        (0.8, 0.05, (1, 0.95, 0.9, 0.85, 0.8)),
        (0.6, 0.1, (1, 0.9, 0.8, 0.7, 0.6)),
        (0.55, 0.2, (1, 0.8, 0.6, 0.55)),
        (1.0, 0.05, (1.0,)),
        (0.0, 0.5, (1, 0.5, 0.0)),
    ],
)
def test_the_stages_of_annealing(target, step, expected):
    assert annealing_stages(target, step) == expected


def test_a_window_of_one_is_the_rate_of_the_batch_before():
    assert trajectory(MovingAverage(), [0.9, 0.1, 0.5]) == [0.4, 0.9, 0.1, 0.5]


def test_a_moving_average_starts_as_if_the_target_had_been_met():
    expected = [0.4, (0.4 + 0.4 + 1.0) / 3, (0.4 + 1.0 + 0.1) / 3, (1.0 + 0.1 + 0.7) / 3]
    assert trajectory(MovingAverage(3), [1.0, 0.1, 0.7]) == pytest.approx(expected)


def test_an_exponential_moving_average_forgets_by_its_momentum():
    expected = [0.4, 0.75 * 0.4 + 0.25 * 0.8, 0.75 * 0.5 + 0.25 * 0.1]
    assert trajectory(ExponentialMovingAverage(0.75), [0.8, 0.1]) == pytest.approx(expected)
    assert trajectory(ExponentialMovingAverage(0.0), [0.9, 0.1]) == [0.4, 0.9, 0.1]


def test_every_gate_has_an_average_of_its_own():
    history = MovingAverage(2).start(0, np.array([0.2, 0.6]))
    history = np.asarray(MovingAverage(2).update(history, np.array([1.0, 0.0])))
    np.testing.assert_allclose(history.mean(axis=0), [0.6, 0.3])


def test_per_gate_gives_way_to_per_batch():
    schedule = Schedule(relax_epochs=4)
    shares = [schedule.per_batch_share(epoch) for epoch in range(6)]
    assert shares == [0, 0.25, 0.5, 0.75, 1, 1]
    assert Schedule().per_batch_share(0) == 1


def test_the_noise_ends():
    assert [Schedule(sample_epochs=2).noise_scale(epoch) for epoch in range(4)] == [1, 1, 0, 0]
    assert Schedule().noise_scale(100) == 1


def test_the_temperature_falls_by_the_same_factor_each_epoch():
    schedule = Schedule(temperatures=(5.0, 0.1), epochs=3)
    found = [schedule.temperature(epoch) for epoch in range(4)]
    np.testing.assert_allclose(found, [5, 0.5**0.5, 0.1, 0.1])
    assert Schedule().temperature(100) == 1
    assert Schedule(temperatures=(2.0, 1.0), epochs=1).temperature(0) == 2
    for arguments in ({"temperatures": (0, 1), "epochs": 3}, {"temperatures": (5.0, 0.1)}):
        with pytest.raises(ValueError, match="temperatures"):
            Schedule(**arguments)
