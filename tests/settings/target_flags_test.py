"""The flags of the target: what they make, and which combinations are refused by name."""

import dataclasses

import pytest
from examples import train_settings

from tfgates.base.errors import UserError
from tfgates.schedules import (
    Annealed,
    Constant,
    ExponentialMovingAverage,
    MovingAverage,
    Schedule,
)
from tfgates.settings import targets

ANNEALED = ("--target_schedule=annealed", "--target_rate=0.8")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), Schedule()),
        (ANNEALED, Schedule(Annealed((1, 0.95, 0.9, 0.85, 0.8), 5))),
        (
            (*ANNEALED, "--anneal_step=0.1", "--anneal_epochs=2"),
            Schedule(Annealed((1, 0.9, 0.8), 2)),
        ),
        ((*ANNEALED, "--anneal_targets=0.95,0.95,0.8"), Schedule(Annealed((0.95, 0.95, 0.8), 5))),
        (("--target_schedule=moving_average",), Schedule(MovingAverage(1))),
        (
            ("--target_schedule=moving_average", "--target_window=7"),
            Schedule(MovingAverage(7)),
        ),
        (
            ("--target_schedule=exponential_moving_average", "--target_momentum=0.5"),
            Schedule(ExponentialMovingAverage(0.5)),
        ),
        (("--gate_temperature=5,0.1",), Schedule(temperatures=(5.0, 0.1), epochs=350)),
        (("--relax_epochs=3", "--sample_epochs=8"), Schedule(Constant(), 3, 8)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_schedule_of_the_flags(arguments, expected):
    # Of the whole training, in which no temperature changes.
    expected = dataclasses.replace(expected, epochs=350)
    assert targets.schedule(train_settings(*arguments)) == expected


def test_gates_of_stochastic_depth_are_at_their_targets():
    settings = train_settings("--gate=stochastic_depth", "--network=cifar_resnet8")
    assert targets.gate_targets(settings, 3) == pytest.approx([5 / 6, 4 / 6, 0.5])


REFUSED = [
    (["--branch_targets=1,0.5"], ["9 branches", "2 targets"]),
    (["--branch_targets=" + ",".join("t" * 9), "--gate=stochastic_depth"], ["--branch_targets"]),
    (["--branch_targets=" + ",".join("1" * 9)], ["--branch_targets", "--gate=none"]),
    (["--last_probability=0.4"], ["--last_probability", "--gate=stochastic_depth"]),
    (["--target_penalty=constant_quadratic", "--gate=none"], ["--target_penalty", "--gate"]),
    (["--target_penalty=constant_quadratic", "--target_rate=1"], ["costs nothing", "is 1"]),
    (["--target_penalty=reversed_quadratic", "--target_rate=0"], ["costs nothing", "is 0"]),
    (["--target_unit=multiply_adds", "--target_loss=per_gate"], ["--target_unit", "per_batch"]),
    (["--relax_epochs=3", "--target_loss=per_gate"], ["--relax_epochs", "per_batch"]),
    (["--relax_epochs=9", "--epochs=9"], ["--relax_epochs=9", "--epochs=9"]),
    (["--sample_epochs=9", "--epochs=9"], ["--sample_epochs=9", "--epochs=9"]),
    (["--sample_epochs=2", "--gate=stochastic_depth"], ["--sample_epochs", "dependent"]),
    (["--target_schedule=annealed", "--gate=none"], ["--target_schedule", "--gate=none"]),
    (["--anneal_epochs=3"], ["--anneal_epochs=3", "--target_schedule=annealed"]),
    (
        ["--anneal_targets=1,0.5", "--target_schedule=moving_average"],
        ["--anneal_targets=1.0,0.5", "--target_schedule=moving_average"],
    ),
    (["--anneal_step=0.1", "--target_schedule=moving_average"], ["--anneal_step", "annealed"]),
    ([*ANNEALED, "--anneal_targets=1,0.7"], ["--target_rate", "0.8", "1,0.7"]),
    ([*ANNEALED, "--anneal_targets=1,0.7,0.8"], ["comes down", "1,0.7,0.8"]),
    ([*ANNEALED, "--anneal_targets=0.9,1,0.8"], ["comes down", "0.9,1,0.8"]),
    ([*ANNEALED, "--anneal_targets=0.8"], ["from above it", "targets 0.8"]),
    (["--target_schedule=annealed", "--target_rate=1"], ["from above it", "targets 1"]),
    ([*ANNEALED, "--anneal_targets=1,x"], ["--anneal_targets", "'x'"]),
    ([*ANNEALED, "--anneal_targets=1,0.8", "--anneal_step=0.1"], ["--anneal_step", "both"]),
    ([*ANNEALED, "--epochs=20"], ["after 20 epochs", "--epochs=20"]),
    (["--target_weight=auto", "--gate=none"], ["--target_weight=auto", "--gate=none"]),
    (["--gate_temperature=5"], ["two numbers from 0.001", "Received: 5."]),
    (["--gate_temperature=5,1e-300"], ["two numbers from 0.001 to 1000", "5,1e-300"]),
    (["--gate_temperature=5,0"], ["two numbers from 0.001", "5,0"]),
    (["--gate_temperature=5,1", "--gate=none"], ["--gate_temperature", "--gate=none"]),
    (["--target_window=3"], ["--target_window=3", "--target_schedule=moving_average"]),
    ([*ANNEALED, "--target_window=3"], ["--target_window=3", "annealed"]),
    (
        ["--target_momentum=0.5", "--target_schedule=moving_average"],
        ["--target_momentum=0.5", "exponential_moving_average"],
    ),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED, ids=lambda value: " ".join(value))
def test_flags_that_make_no_sense_together_are_refused_by_name(arguments, words):
    with pytest.raises(UserError) as refused:
        train_settings(*arguments)
    for word in words:
        assert word in str(refused.value)


def test_without_gates_the_recipe_of_a_gated_network_holds():
    settings = train_settings("--flagfile=flags/demo.cfg", "--gate=none")
    assert targets.schedule(settings) == Schedule(epochs=7)


def test_a_weight_is_a_number_or_finds_itself():
    assert [train_settings(f"--target_weight={text}").target_weight for text in ("4", "auto")] == [
        4.0,
        "auto",
    ]
