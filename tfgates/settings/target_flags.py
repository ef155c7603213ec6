"""The flags of the target: what the gates are drawn to, and how that changes over the training."""

from tfgates.settings.choices import PENALTIES, TARGET_LOSSES, TARGET_SCHEDULES
from tfgates.settings.flag import MANY, Flag
from tfgates.settings.network_flags import LEARNED
from tfgates.settings.target_values import (
    is_weight,
    read_anneal_targets,
    read_branch_targets,
    read_temperatures,
    read_weight,
)

ANNEALED = {"target_schedule": ("annealed",)}

TARGET = (
    Flag(
        "target_loss",
        "enum",
        "per_batch",
        "Whether the batch as a whole or each gate is drawn to the target rate.",
        choices=TARGET_LOSSES,
    ),
    Flag(
        "target_rate",
        "float",
        0.5,
        "Wanted share of executed branches, in [0, 1].",
        valid=lambda value: 0 <= value <= 1,
        rule="is a share of executed branches in [0, 1]; for 40 percent pass --target_rate=0.4",
    ),
    Flag(
        "branch_targets",
        "list",
        [],
        "A target rate for each branch, separated by commas; t is --target_rate, and a branch with "
        "target 1 is always open and has no gate. Empty: --target_rate for every branch.",
        belongs={**LEARNED, "gated": ("branches",)},
        read=read_branch_targets,
    ),
    Flag(
        "target_weight",
        "string",
        "1.0",
        "Factor of the target loss (lambda); or auto: 4, and a multiplier of the excess that rises "
        "while the rate is above the target and falls while it is below.",
        valid=is_weight,
        rule="is auto, or from 0 to 1e6, as 1",
        read=read_weight,
    ),
    Flag(
        "target_penalty",
        "enum",
        "quadratic",
        "Of a rate away from its target: on both sides; above it only; or (reversed) below only.",
        choices=PENALTIES,
        belongs=LEARNED,
    ),
    Flag(
        "target_unit",
        "enum",
        "branches",
        "What --target_rate is a share of: the branches, or the multiply-adds behind the gates.",
        choices=("branches", "multiply_adds"),
        belongs={**LEARNED, "target_loss": ("per_batch",)},
    ),
)

SCHEDULE = (
    Flag(
        "target_schedule",
        "enum",
        "constant",
        "The target over training: constant; annealed from 1 down to --target_rate; or variable, "
        "a moving average of the rates of the last batches, which each epoch begins anew.",
        choices=TARGET_SCHEDULES,
        belongs=LEARNED,
    ),
    Flag(
        "anneal_step",
        "float",
        0.05,
        "By how much annealing lowers the target at a time.",
        valid=lambda value: 0.001 <= value <= 1,
        rule="is from 0.001 to 1, as 0.05",
        belongs=ANNEALED,
    ),
    Flag(
        "anneal_epochs",
        "integer",
        5,
        "Epochs of each target of annealing.",
        valid=lambda value: 1 <= value <= MANY,
        rule="is a number of epochs, as 5",
        belongs=ANNEALED,
    ),
    Flag(
        "anneal_targets",
        "list",
        [],
        "The targets of annealing instead of --anneal_step, separated by commas, the last one "
        "--target_rate: 1,0.95,0.9,0.85,0.8.",
        belongs=ANNEALED,
        read=read_anneal_targets,
    ),
    Flag(
        "target_window",
        "integer",
        1,
        "Batches of --target_schedule=moving_average.",
        valid=lambda value: 1 <= value <= MANY,
        rule="is a number of batches, as 10",
        belongs={"target_schedule": ("moving_average",)},
    ),
    Flag(
        "target_momentum",
        "float",
        0.9,
        "Of --target_schedule=exponential_moving_average.",
        valid=lambda value: 0 <= value < 1,
        rule="is in [0, 1), as 0.9",
        belongs={"target_schedule": ("exponential_moving_average",)},
    ),
    Flag(
        "relax_epochs",
        "integer",
        0,
        "Epochs in which the per-gate loss gives way to the per-batch loss.",
        valid=lambda value: 0 <= value <= MANY,
        rule="is 0 or a number of epochs, as 10",
        belongs={**LEARNED, "target_loss": ("per_batch",)},
    ),
    Flag(
        "sample_epochs",
        "integer",
        0,
        "Epochs after which the noise of the gates is off; 0: never.",
        valid=lambda value: 0 <= value <= MANY,
        rule="is 0 or a number of epochs, as 30",
        belongs=LEARNED,
    ),
    Flag(
        "gate_temperature",
        "list",
        ["1", "1"],
        "Temperature of the relaxed sample, whose gradient the gates learn by: in the first epoch, "
        "and in the last one, to which it goes by the same factor each epoch.",
        belongs=LEARNED,
        read=read_temperatures,
    ),
)
