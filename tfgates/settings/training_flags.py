"""The flags of how it is trained: the optimizer, what comes after the last epoch, the machine."""

from tfgates.base.errors import UserError
from tfgates.settings.flag import MANY, Flag


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
)

END = (
    Flag(
        "recalibration_batches",
        "integer",
        0,
        "Batches on which the moments of batch norm are measured again after training; 0: none. "
        "The paper takes 200.",
        valid=lambda value: 0 <= value <= MANY,
        rule="is 0 or a number, as 200",
        resumes=True,
    ),
    Flag(
        "recalibration_batch_size",
        "integer",
        1024,
        "Images of such a batch.",
        valid=lambda value: 2 <= value <= MANY,
        rule="is at least 2",
        resumes=True,
    ),
    Flag(
        "keep",
        "enum",
        "last",
        "Which epoch becomes the model: the last, or the one with the best validation accuracy.",
        choices=("last", "best"),
        resumes=True,
    ),
)

MACHINE = (
    # No enum: `make_strategy` knows the names, and why it refuses others.
    Flag(
        "strategy",
        "string",
        "auto",
        "Devices: one; mirrored on several; auto: mirrored where there are several GPUs; "
        "multiworker: several hosts, see docs/several_hosts.md.",
        resumes=True,
    ),
    Flag(
        "replicas",
        "integer",
        0,
        "Devices of --strategy=mirrored; 0: every GPU. Without GPUs the CPU is divided.",
        valid=lambda value: 0 <= value <= 64,
        rule="is from 0 to 64",
        resumes=True,
    ),
    Flag(
        "sync_batch_norm",
        "boolean",
        True,
        "Batch norm over the images of all replicas; else over those of each one, of which the "
        "first one's moments are kept.",
        belongs={"strategy": ("auto", "mirrored", "multiworker")},
    ),
    Flag(
        "precision",
        "enum",
        "float32",
        "Keras dtype policy.",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    ),
    Flag(
        "jit",
        "boolean",
        False,
        "Compile the training step with XLA, on one replica; its noise is another.",
        belongs={"strategy": ("auto", "one", "mirrored")},
        resumes=True,
    ),
    Flag(
        "seed",
        "integer",
        1,
        "Seed of weights, noise, order and augmentation.",
        valid=lambda value: 0 <= value < 2**31,
        rule="is in [0, 2^31)",
    ),
    Flag(
        "deterministic",
        "boolean",
        False,
        "Same numbers in every run on this machine; slower on GPUs.",
        resumes=True,
    ),
)
