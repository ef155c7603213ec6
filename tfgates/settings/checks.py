"""Which flags of a training run go together."""

from tfgates.base.errors import UserError
from tfgates.settings.choices import AUTO, GATES, NARROWEST, NUM_BRANCHES, SELF
from tfgates.settings.exit_checks import check_exits
from tfgates.settings.flag import as_text
from tfgates.settings.flags import TABLE
from tfgates.settings.network import KERAS, MODEL, RUN, split
from tfgates.settings.target_values import always_open, stages

# By the kind of a network, flags of what it brings itself.
BROUGHT = {
    KERAS: {"statistics": "statistics"},
    MODEL: {"init_from": "weights"},
    RUN: {
        "init_from": "weights",
        "branch_targets": "gates",
        "gated": "gates",
        "where": "gates",
        "exits": "exits",
        "exit_units": "exits",
        "statistics": "statistics",
    },
}
# The target that no rate misses on the side that is penalized.
FREE_OF_PENALTY = {"constant_quadratic": 1.0, "reversed_quadratic": 0.0}


def check(settings):
    """Refuses flags that do not go together.

    Args:
        settings: `TrainConfig`.

    Raises:
        UserError: names them, and the way out.
    """
    kind, _ = split(settings.network)
    if kind in BROUGHT:
        _check_brought(settings, BROUGHT[kind])
    if kind != RUN and settings.fresh_weights:
        raise UserError(
            "--fresh_weights belongs to --network=run:PATH. Received: --fresh_weights with "
            f"--network={settings.network}, whose weights are new anyway. Leave it out."
        )
    _check_belongs(settings)
    _check_target(settings)
    check_exits(settings)
    _check_optimizer(settings)
    _check_teacher(settings)


def _check_optimizer(settings):
    steps = settings.decay_epochs if settings.learning_rate_schedule == "steps" else ()
    if settings.warmup_epochs and settings.warmup_epochs >= min((settings.epochs, *steps)):
        raise UserError(
            "--warmup_epochs ends before the last epoch and before the first of "
            f"--decay_epochs. Received: --warmup_epochs={settings.warmup_epochs}."
        )
    if settings.nesterov and not settings.momentum:
        raise UserError(
            "--nesterov belongs to a --momentum above 0. Received: --nesterov with --momentum=0. "
            "Leave one of them out."
        )


def _check_teacher(settings):
    for name in ("teacher_weight", "teacher_temperature"):
        value = getattr(settings, name)
        if not settings.teacher and value != TABLE[name].value():
            raise UserError(
                f"--{name} belongs to --teacher. Received: --{name}={as_text(value)} without. "
                "Leave it out, or pass --teacher."
            )
    if settings.teacher == SELF and settings.gate in ("none", "nested"):
        raise UserError(
            "--teacher=self are the answers with every gate open. Received: "
            f"--gate={settings.gate}. Pass --teacher=run:PATH, or leave it out."
        )


def _check_brought(settings, brought):
    """Refuses flags of what a network that exists already has brought with it."""
    for name, what in brought.items():
        value = getattr(settings, name)
        if value != TABLE[name].value():
            raise UserError(
                f"--network={settings.network} brings its own {what}. Received: "
                f"--{name}={as_text(value)}. Leave out --{name}."
            )
    if "statistics" not in brought and settings.statistics == "auto":
        raise UserError(
            f"--network={settings.network} takes its pixels in its own way: pass --statistics=raw "
            "for pixels from 0 to 255, unit from 0 to 1, symmetric from -1 to 1, or imagenet."
        )


def _check_belongs(settings):
    for name, flag in TABLE.items():
        value = getattr(settings, name)
        for owner, values in flag.belongs.items():
            if value != flag.value() and getattr(settings, owner) not in values:
                raise UserError(
                    f"--{name} belongs to --{owner}={' or '.join(values)}. Received: "
                    f"--{name}={as_text(value)} with --{owner}={getattr(settings, owner)}. Leave "
                    "one of them out."
                )


def _check_target(settings):
    if settings.branch_targets:
        _check_branches(settings)
    else:
        _check_penalty(settings)
    if settings.gated != "branches" and settings.network in NARROWEST:
        _check_groups(settings)
    for name in ("relax_epochs", "sample_epochs"):
        if getattr(settings, name) >= settings.epochs:
            raise UserError(
                f"--{name} ends before the last epoch. Received: --{name}="
                f"{getattr(settings, name)} of --epochs={settings.epochs}. Pass less, or 0."
            )
    if settings.target_schedule == "annealed":
        _check_annealing(settings)


def _check_branches(settings):
    branches = NUM_BRANCHES.get(settings.network)
    if branches is None:
        raise UserError(
            f"--branch_targets belongs to {', '.join(NUM_BRANCHES)}. Received: --network="
            f"{settings.network}. Pass --where, the branches that get a gate."
        )
    if settings.where:
        raise UserError(
            "--branch_targets says of each branch whether it has a gate, and so does --where. "
            "Received: both. Leave one of them out."
        )
    if len(settings.branch_targets) != branches:
        raise UserError(
            f"--branch_targets has one target for each of the {branches} branches of "
            f"{settings.network}. Received: {len(settings.branch_targets)} targets."
        )
    if len(always_open(settings)) == branches:
        raise UserError(
            "--branch_targets leaves at least one branch its gate, with a target below 1. "
            f"Received: {','.join(settings.branch_targets)}. For the plain network pass "
            "--gate=none instead."
        )


def _check_penalty(settings):
    if settings.target_weight == AUTO and settings.gate not in GATES:
        raise UserError(
            "--target_weight=auto belongs to --gate=dependent or independent. Received: "
            f"--gate={settings.gate}, whose rates nothing moves. Leave it out."
        )
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


def _check_annealing(settings):
    targets = stages(settings)
    if settings.anneal_targets and settings.anneal_step != TABLE["anneal_step"].value():
        raise UserError(
            "--anneal_targets names the targets that --anneal_step would make. Received: both. "
            "Leave one of them out."
        )
    falling = list(targets) == sorted(targets, reverse=True)
    if not falling or not targets[0] > settings.target_rate == targets[-1]:
        raise UserError(
            f"Annealing comes down to --target_rate, here {settings.target_rate:g}, from above it. "
            f"Received: targets {','.join(f'{target:g}' for target in targets)}."
        )
    last = (len(targets) - 1) * settings.anneal_epochs
    if last >= settings.epochs:
        raise UserError(
            f"Annealing comes to --target_rate after {last} epochs, and --epochs={settings.epochs}."
            " Pass more --epochs, less --anneal_epochs, or a larger --anneal_step."
        )
