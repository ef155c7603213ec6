"""How the flags of the target are read, and what they say by themselves."""

import math

from tfgates.base.errors import UserError
from tfgates.settings.choices import AUTO


def annealing_stages(target, step):
    """Returns the stages 1, 1 - step, 1 - 2 step, ..., target of an `Annealed` (section S2.1).

    Args:
        target: in [0, 1].
        step: above 0 (a); the paper takes 0.05.
    """
    count = math.ceil((1 - target) / step - 1e-9)
    return (*(round(1 - index * step, 10) for index in range(count)), target)


def stages(settings):
    """Returns the targets of annealing, the first and each after it."""
    return settings.anneal_targets or annealing_stages(settings.target_rate, settings.anneal_step)


def always_open(settings):
    """Returns the indices of the branches without a gate: those with target 1 in branch_targets."""
    return tuple(
        index
        for index, target in enumerate(settings.branch_targets)
        if target != "t" and float(target) == 1
    )


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
