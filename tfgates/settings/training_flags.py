"""The flags of what comes after the last epoch, and of the machine."""

from tfgates.settings.choices import PATHS
from tfgates.settings.flag import MANY, Flag
from tfgates.settings.network_flags import LEARNED

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
        "calibrate",
        "boolean",
        False,
        "After training, shift the log-odds of all gates by one number, with which the threshold "
        "0.5 runs the share --target_rate on the validation images.",
        belongs=LEARNED,
        resumes=True,
    ),
    Flag(
        "path",
        "enum",
        "short",
        "Which path of a nested network becomes the model, after training: the same command with "
        "the other one makes that.",
        choices=PATHS,
        belongs={"gate": ("nested",)},
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
