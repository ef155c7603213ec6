"""What the flags of a training run say of its target."""

from tfgates.base.errors import UserError
from tfgates.schedules import (
    Annealed,
    Constant,
    ExponentialMovingAverage,
    MovingAverage,
    Schedule,
    annealing_stages,
)
from tfgates.stochastic_depth import linear_decay
from tfgates.targets import AUTO


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


def stages(settings):
    """Returns the targets of annealing, the first and each after it."""
    return settings.anneal_targets or annealing_stages(settings.target_rate, settings.anneal_step)


TARGET_SCHEDULES = {
    "constant": lambda settings: Constant(),
    "annealed": lambda settings: Annealed(stages(settings), settings.anneal_epochs),
    "moving_average": lambda settings: MovingAverage(settings.target_window),
    "exponential_moving_average": lambda settings: ExponentialMovingAverage(
        settings.target_momentum
    ),
}


def always_open(settings):
    """Returns the indices of the branches without a gate: those with target 1 in branch_targets."""
    return tuple(
        index
        for index, target in enumerate(settings.branch_targets)
        if target != "t" and float(target) == 1
    )


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


def read_branch_targets(texts):
    """Reads --branch_targets.

    Raises:
        UserError: one is neither a rate nor t.
    """
    for text in texts:
        if text != "t" and _rate(text) is None:
            raise UserError(
                "--branch_targets are rates in [0, 1], or t for --target_rate, as 1,1,0.8,t,t. "
                f"Received: {text!r}."
            )
    return tuple(texts)


def read_anneal_targets(texts):
    """Reads --anneal_targets.

    Raises:
        UserError: one is no rate.
    """
    for text in texts:
        if _rate(text) is None:
            raise UserError(
                f"--anneal_targets are rates in [0, 1], as 1,0.95,0.9,0.85,0.8. Received: {text!r}."
            )
    return tuple(map(float, texts))


def read_temperatures(texts):
    """Reads --gate_temperature.

    Raises:
        UserError: they are not two numbers from 0.001 to 1000.
    """
    try:
        found = tuple(map(float, texts))
    except ValueError:
        found = ()
    if len(found) != 2 or not all(1e-3 <= one <= 1e3 for one in found):
        raise UserError(
            "--gate_temperature are two numbers from 0.001 to 1000, that of the first epoch and "
            f"that of the last, as 5,0.1. Received: {','.join(texts)}."
        )
    return found


def read_weight(text):
    """Reads --target_weight, a text that `is_weight`: a number, or "auto"."""
    return text if text == AUTO else float(text)


def is_weight(text):
    """Whether a text is what --target_weight takes."""
    try:
        return text == AUTO or 0 <= float(text) <= 1e6
    except ValueError:
        return False


def _rate(text):
    try:
        return float(text) if 0 <= float(text) <= 1 else None
    except ValueError:
        return None
