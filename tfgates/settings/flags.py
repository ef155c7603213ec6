"""The flags of a training run: the table of all of them, and how the command line takes them."""

from absl import flags

from tfgates.settings import (
    exit_flags,
    label_flags,
    network_flags,
    optimizer_flags,
    target_flags,
    training_flags,
)

# All that is said of a flag stands in its entry: `TrainConfig`, the command line, flags.cfg and
# their checks are made of this table.
TABLE = {
    flag.name: flag
    for flag in (
        *network_flags.DATA,
        *network_flags.NETWORK,
        *target_flags.TARGET,
        *target_flags.SCHEDULE,
        *exit_flags.EXITS,
        *label_flags.LABELS,
        *optimizer_flags.OPTIMIZER,
        *training_flags.END,
        *training_flags.MACHINE,
    )
}


def define_flags():
    """Defines the flags of the table for the command line."""
    for flag in TABLE.values():
        define = getattr(flags, f"DEFINE_{flag.kind}")
        define(flag.name, flag.default, *([flag.choices] if flag.choices else []), flag.help)
        if flag.valid:
            flags.register_validator(flag.name, flag.valid, f"{flag.rule}.")


def belonging_to(owner):
    """Returns the names of the flags that belong to a flag, or to one of those that do."""
    names = {flag.name for flag in TABLE.values() if owner in flag.belongs}
    return names.union(*map(belonging_to, names))
