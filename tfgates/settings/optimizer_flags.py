"""The flags of the optimizer: how the weights follow the loss."""

from tfgates.base.errors import UserError
from tfgates.settings.flag import MANY, Flag
from tfgates.settings.network_flags import LEARNED


def read_decay_epochs(texts):
    """Reads --decay_epochs.

    Raises:
        UserError: they do not increase from 1 on.
    """
    try:
        epochs = tuple(int(text) for text in texts)
    except ValueError:
        epochs = (0,)
    if any(not early < late <= MANY for early, late in zip((0, *epochs), epochs, strict=False)):
        raise UserError(
            "--decay_epochs are increasing epochs from 1 on, as 30,60,90. "
            f"Received: {','.join(texts)}."
        )
    return epochs


OPTIMIZER = (
    Flag(
        "epochs",
        "integer",
        350,
        "Epochs of the whole run.",
        valid=lambda value: 1 <= value <= MANY,
        rule=f"is at least 1, at most {MANY}",
        resumes=True,
    ),
    Flag(
        "batch_size",
        "integer",
        256,
        "Images of a batch, over all replicas.",
        valid=lambda value: 2 <= value <= MANY,
        rule="is at least 2, for batch norm",
    ),
    Flag(
        "steps_per_epoch",
        "integer",
        0,
        "Batches of an epoch; 0: the whole training split.",
        valid=lambda value: 0 <= value <= MANY,
        rule="is 0 or the number of batches",
    ),
    Flag(
        "learning_rate",
        "float",
        0.1,
        "Learning rate before the first decay.",
        valid=lambda value: 0 < value <= 1e6,
        rule="is a number above 0, as 0.1",
    ),
    Flag(
        "learning_rate_schedule",
        "enum",
        "steps",
        "How the learning rate falls: in steps, or along half a cosine to 0 at the last epoch.",
        choices=("steps", "cosine"),
    ),
    Flag(
        "linear_scaling",
        "boolean",
        False,
        "--learning_rate is that of 256 images a batch, and grows with it.",
    ),
    Flag(
        "warmup_epochs",
        "integer",
        0,
        "Epochs in which the learning rate grows from 0, step by step.",
        valid=lambda value: 0 <= value <= MANY,
        rule="is 0 or a number of epochs, as 5",
    ),
    Flag(
        "decay_epochs",
        "list",
        ["150", "250"],
        "Epochs after which the learning rate is multiplied by 0.1, separated by commas.",
        belongs={"learning_rate_schedule": ("steps",)},
        read=read_decay_epochs,
    ),
    Flag(
        "momentum",
        "float",
        0.9,
        "Momentum of SGD, in [0, 1).",
        valid=lambda value: 0 <= value < 1,
        rule="is in [0, 1), as 0.9",
    ),
    Flag(
        "nesterov",
        "boolean",
        False,
        "Nesterov's momentum.",
    ),
    Flag(
        "gate_learning_rate_factor",
        "float",
        1.0,
        "The learning rate of the gates, as a factor of that of the other weights.",
        valid=lambda value: 0 < value <= 1e6,
        rule="is a number above 0, as 0.1 or 10",
        belongs=LEARNED,
    ),
    Flag(
        "weight_decay",
        "float",
        5e-4,
        "Weight decay.",
        valid=lambda value: 0 <= value <= 1,
        rule="is in [0, 1], as 1e-4",
    ),
    Flag(
        "decayed",
        "enum",
        "all",
        "Which weights decay: all, or kernels alone, not batch norm, biases and log-odds.",
        choices=("all", "kernels"),
    ),
    Flag(
        "decay_gates",
        "boolean",
        True,
        "Whether the weights of the gates decay as the others do.",
        belongs=LEARNED,
    ),
)
