"""The flags of early exits: where images may leave, and how many are drawn to (section 5)."""

from tfgates.base.errors import UserError
from tfgates.settings.choices import GATES, PENALTIES
from tfgates.settings.flag import Flag

# The ends of the dense blocks that others follow.
BLOCKS = "blocks"


def read_exit_target(texts):
    """Reads --exit_target.

    Raises:
        UserError: one is no share of images, or leaves none to what is behind.
    """
    try:
        found = tuple(map(float, texts))
    except ValueError:
        found = ()
    if not found or not all(0 <= rate < 1 for rate in found):
        raise UserError(
            "--exit_target is the share that leaves at an exit of the images that arrive there, in "
            f"[0, 1), or one for each exit, as 0.3 or 0.3,0.2. Received: {','.join(texts)}."
        )
    return found


EXITS = (
    Flag(
        "exits",
        "list",
        [],
        "Names of the layers behind which images may leave early, separated by commas; blocks: the "
        "ends of the first two dense blocks of cifar_densenet; empty: none.",
        belongs={"gate": (*GATES, "none")},
        read=tuple,
    ),
    Flag(
        "exit_units",
        "integer",
        128,
        "Width of the gates and classifiers of exits.",
        valid=lambda value: 1 <= value <= 4096,
        rule="is from 1 to 4096, as 128",
    ),
    Flag(
        "exit_target",
        "list",
        ["0.3"],
        "Of the images that arrive at an exit the share that shall leave there, in [0, 1); or one "
        "for each exit, separated by commas.",
        read=read_exit_target,
    ),
    Flag(
        "exit_penalty",
        "enum",
        "reversed_quadratic",
        "Of a share that is not --exit_target: on both sides; above it only; or (reversed) below "
        "only, so that more may leave.",
        choices=PENALTIES,
    ),
    Flag(
        "exit_weight",
        "float",
        1.0,
        "Weight of the exits' own cross-entropies, over all images, beside that of the answers; 0: "
        "each learns of the images alone that leave there.",
        valid=lambda value: 0 <= value <= 1e6,
        rule="is from 0 to 1e6, as 1",
    ),
)
