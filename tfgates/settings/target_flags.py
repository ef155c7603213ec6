"""What the flags of a training run say of its target, and which of them go together."""

from tfgates.base.errors import UserError
from tfgates.gates import GATES, linear_decay
from tfgates.networks import NARROWEST, NUM_BLOCKS
from tfgates.schedules import (
    Annealed,
    Constant,
    ExponentialMovingAverage,
    MovingAverage,
    Schedule,
    annealing_stages,
)

LEARNED = tuple(GATES)
# Each of these flags means something with some values of another one alone.
BELONGS = {
    "gated": ("gate", LEARNED),
    "filter_groups": ("gated", ("output_filters", "inner_filters")),
    "last_probability": ("gate", ("stochastic_depth",)),
    "block_targets": ("gate", LEARNED),
    "target_penalty": ("gate", LEARNED),
    "target_unit": ("gate", LEARNED),
    "target_schedule": ("gate", LEARNED),
    "relax_epochs": ("gate", LEARNED),
    "sample_epochs": ("gate", LEARNED),
    "anneal_step": ("target_schedule", ("annealed",)),
    "anneal_epochs": ("target_schedule", ("annealed",)),
    "anneal_targets": ("target_schedule", ("annealed",)),
    "target_window": ("target_schedule", ("moving_average",)),
    "target_momentum": ("target_schedule", ("exponential_moving_average",)),
}
# The target that no rate misses on the side that is penalized.
FREE_OF_PENALTY = {"constant_quadratic": 1.0, "reversed_quadratic": 0.0}
OF_THE_BATCH = ("target_unit", "relax_epochs")
OF_BLOCKS = ("block_targets",)


def check(settings, defaults):
    """Refuses flags of the target that do not go together.

    Args:
        settings: `TrainConfig`.
        defaults: values of the flags that were not given, by name.

    Raises:
        UserError: names them, and the way out.
    """
    belongs = [
        *BELONGS.items(),
        *((name, ("target_loss", ("per_batch",))) for name in OF_THE_BATCH),
        *((name, ("gated", ("blocks",))) for name in OF_BLOCKS),
    ]
    for name, (owner, values) in belongs:
        value = getattr(settings, name)
        if value not in (defaults[name], ()) and getattr(settings, owner) not in values:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else value
            raise UserError(
                f"--{name} belongs to --{owner}={' or '.join(values)}. Received: --{name}={text} "
                f"with --{owner}={getattr(settings, owner)}. Leave one of them out."
            )
    if settings.block_targets:
        _check_blocks(settings)
    else:
        _check_penalty(settings)
    if settings.gated != "blocks":
        _check_groups(settings)
    for name in ("relax_epochs", "sample_epochs"):
        if getattr(settings, name) >= settings.epochs:
            raise UserError(
                f"--{name} ends before the last epoch. Received: --{name}="
                f"{getattr(settings, name)} of --epochs={settings.epochs}. Pass less, or 0."
            )
    if settings.target_schedule == "annealed":
        _check_annealing(settings, defaults)


def _check_blocks(settings):
    blocks = NUM_BLOCKS[settings.network]
    if len(settings.block_targets) != blocks:
        raise UserError(
            f"--block_targets has one target for each of the {blocks} blocks of "
            f"{settings.network}. Received: {len(settings.block_targets)} targets."
        )
    if len(always_open(settings)) == blocks:
        raise UserError(
            "--block_targets leaves at least one block its gate, with a target below 1. Received: "
            f"{','.join(settings.block_targets)}. For the plain network pass --gate=none instead."
        )


def _check_penalty(settings):
    # By name: to ask the penalty itself would start TensorFlow before the strategy is made.
    free = FREE_OF_PENALTY.get(settings.target_penalty)
    if settings.target_rate == free and settings.target_schedule == "constant":
        raise UserError(
            f"--target_penalty={settings.target_penalty} costs nothing at any rate where "
            f"--target_rate is {free:g}. Pass another one of them."
        )


def _check_groups(settings):
    groups, filters = settings.filter_groups, NARROWEST[settings.network]
    if filters % groups:
        raise UserError(
            f"--filter_groups divides the {filters} filters of the narrowest layers of "
            f"{settings.network}. Received: --filter_groups={groups}."
        )
    if settings.gated == "inner_filters" and settings.target_rate < 1 / groups:
        raise UserError(
            f"Of inner filters one of --filter_groups={groups} stays open: --target_rate is "
            f"{1 / groups:g} or more. Received: --target_rate={settings.target_rate:g}."
        )


def _check_annealing(settings, defaults):
    stages = _stages(settings)
    if settings.anneal_targets and settings.anneal_step != defaults["anneal_step"]:
        raise UserError(
            "--anneal_targets names the targets that --anneal_step would make. Received: both. "
            "Leave one of them out."
        )
    falling = list(stages) == sorted(stages, reverse=True)
    if not falling or not stages[0] > settings.target_rate == stages[-1]:
        raise UserError(
            f"Annealing comes down to --target_rate, here {settings.target_rate:g}, from above it. "
            f"Received: targets {','.join(f'{stage:g}' for stage in stages)}."
        )
    last = (len(stages) - 1) * settings.anneal_epochs
    if last >= settings.epochs:
        raise UserError(
            f"Annealing comes to --target_rate after {last} epochs, and --epochs={settings.epochs}."
            " Pass more --epochs, less --anneal_epochs, or a larger --anneal_step."
        )


def schedule(settings):
    """Returns the `Schedule` of the flags."""
    target = TARGET_SCHEDULES[settings.target_schedule](settings)
    return Schedule(target, settings.relax_epochs, settings.sample_epochs)


def _stages(settings):
    return settings.anneal_targets or annealing_stages(settings.target_rate, settings.anneal_step)


TARGET_SCHEDULES = {
    "constant": lambda settings: Constant(),
    "annealed": lambda settings: Annealed(_stages(settings), settings.anneal_epochs),
    "moving_average": lambda settings: MovingAverage(settings.target_window),
    "exponential_moving_average": lambda settings: ExponentialMovingAverage(
        settings.target_momentum
    ),
}


def always_open(settings):
    """Returns the indices of the blocks that get no gate: those with target 1 in block_targets."""
    return tuple(
        index
        for index, target in enumerate(settings.block_targets)
        if target != "t" and float(target) == 1
    )


def gate_targets(settings):
    """Returns the target rate of all gates, or a list of one for each of them."""
    if settings.gate == "stochastic_depth":
        # What is not learned is at its target.
        return linear_decay(NUM_BLOCKS[settings.network], settings.last_probability)
    if not settings.block_targets:
        return settings.target_rate
    opened = always_open(settings)
    return [
        settings.target_rate if target == "t" else float(target)
        for index, target in enumerate(settings.block_targets)
        if index not in opened
    ]


def read_block_targets(texts):
    """Reads --block_targets.

    Raises:
        UserError: one is neither a rate nor t.
    """
    for text in texts:
        if text != "t" and _rate(text) is None:
            raise UserError(
                "--block_targets are rates in [0, 1], or t for --target_rate, as 1,1,0.8,t,t. "
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


def _rate(text):
    try:
        return float(text) if 0 <= float(text) <= 1 else None
    except ValueError:
        return None
