"""Which flags of early exits go together."""

from tfgates.base.errors import UserError
from tfgates.settings.choices import BLOCK_EXITS
from tfgates.settings.exit_flags import BLOCKS, EXITS
from tfgates.settings.flag import as_text
from tfgates.settings.network import RUN, split


def check_exits(settings):
    """Refuses flags of exits that do not go together; see `tfgates.settings.checks`."""
    exits, target = settings.exits, settings.exit_target
    for flag in EXITS:
        value = getattr(settings, flag.name)
        # A network of another run may bring its exits along.
        if value != flag.value() and not exits and split(settings.network)[0] != RUN:
            raise UserError(
                f"--{flag.name} belongs to --exits. Received: --{flag.name}={as_text(value)} "
                "without. Leave it out, or pass --exits."
            )
    if BLOCKS in exits and (settings.network not in BLOCK_EXITS or exits != (BLOCKS,)):
        raise UserError(
            f"--exits=blocks stands alone, and belongs to {', '.join(BLOCK_EXITS)}. Received: "
            f"--exits={as_text(exits)} with --network={settings.network}. Pass names of layers."
        )
    count = BLOCK_EXITS[settings.network] if exits == (BLOCKS,) else len(exits)
    if exits and len(target) not in (1, count):
        raise UserError(
            f"--exit_target has one share for all exits, or one for each of {count}. Received: "
            f"{as_text(target)}."
        )
    if exits and settings.exit_penalty == "reversed_quadratic" and 0 in target:
        raise UserError(
            "--exit_penalty=reversed_quadratic costs nothing at any share where --exit_target is "
            "0. Pass another one of them."
        )
