"""What the flags of a training run say of its target."""

from tfgates.schedules import (
    Annealed,
    Constant,
    ExponentialMovingAverage,
    MovingAverage,
    Schedule,
)
from tfgates.settings.target_values import always_open, stages
from tfgates.stochastic_depth import linear_decay


def schedule(settings):
    """Returns the `Schedule` of the flags."""
    target = TARGET_SCHEDULES[settings.target_schedule](settings)
    return Schedule(
        target,
        settings.relax_epochs,
        settings.sample_epochs,
        settings.gate_temperature,
        settings.epochs,
    )


TARGET_SCHEDULES = {
    "constant": lambda settings: Constant(),
    "annealed": lambda settings: Annealed(stages(settings), settings.anneal_epochs),
    "moving_average": lambda settings: MovingAverage(settings.target_window),
    "exponential_moving_average": lambda settings: ExponentialMovingAverage(
        settings.target_momentum
    ),
}


def gate_targets(settings, gates):
    """Returns the target rate of all gates, or a list of one for each of them.

    Args:
        settings: `TrainConfig`.
        gates: their number.
    """
    if settings.gate == "stochastic_depth":
        # What is not learned is at its target.
        return linear_decay(gates, settings.last_probability)
    if not settings.branch_targets:
        return settings.target_rate
    opened = always_open(settings)
    return [
        settings.target_rate if target == "t" else float(target)
        for index, target in enumerate(settings.branch_targets)
        if index not in opened
    ]
