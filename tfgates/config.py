"""The flags of a training run, and the configuration they end in."""

import dataclasses
import pathlib
from typing import Any

from absl import flags

from tfgates.data.augment import AUGMENTATIONS
from tfgates.errors import UserError
from tfgates.gates import GATES
from tfgates.losses import TARGET_LOSSES
from tfgates.networks import NETWORKS

MANY = 10**7
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
# What may change when a run is resumed: how long, where and on how many devices it goes on.
FREE = ("epochs", "data_dir", "output_dir", "strategy", "replicas", "deterministic")


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """A training run; each attribute is the flag of the same name."""

    dataset: str
    data_dir: str
    output_dir: str
    image_size: int
    augment: str
    network: str
    gate: str
    target_loss: str
    target_rate: float
    target_weight: float
    epochs: int
    batch_size: int
    steps_per_epoch: int
    learning_rate: float
    decay_epochs: tuple[int, ...]
    momentum: float
    weight_decay: float
    strategy: str
    replicas: int
    precision: str
    seed: int
    deterministic: bool

    @classmethod
    def from_flags(cls):
        """Reads the parsed flags.

        Raises:
            UserError: decay epochs that are not increasing whole numbers.
        """
        values: dict[str, Any] = {
            field.name: flags.FLAGS[field.name].value for field in dataclasses.fields(cls)
        }
        values["decay_epochs"] = _increasing(values["decay_epochs"])
        return cls(**values)

    def as_flagfile(self):
        """Returns the text of a flag file that repeats this run."""
        lines = []
        for name, value in dataclasses.asdict(self).items():
            if isinstance(value, tuple):
                value = ",".join(map(str, value))
            lines.append(f"--{name}={str(value).lower() if isinstance(value, bool) else value}")
        return "\n".join(lines) + "\n"

    def claim(self, path):
        """Writes the flag file of a run folder, or checks the one that is there.

        Args:
            path: of the flag file.

        Raises:
            UserError: the folder holds a run with other flags, or cannot be written.
        """
        path = pathlib.Path(path)
        try:
            if path.exists():
                self._compare(path, path.read_text())
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".tmp")
            unfinished.write_text(self.as_flagfile())
            unfinished.replace(path)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"--output_dir={path.parent} cannot be used as a run folder: {error}. "
                "Choose another."
            ) from error

    def _compare(self, path, text):
        before = dict(line.split("=", 1) for line in text.split("\n") if "=" in line)
        for line in self.as_flagfile().splitlines():
            name, value = line.split("=", 1)
            if name not in before:
                raise UserError(f"{path} is damaged, without {name}. Choose another --output_dir.")
            if name[2:] not in FREE and before[name] != value:
                raise UserError(
                    f"{path.parent} holds a run with {name}={before[name]}, and this one has "
                    f"{name}={value}. Choose another --output_dir, or remove that folder."
                )


def _increasing(texts):
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


def define_flags():
    """Defines the flags of `TrainConfig`."""
    _define_data_flags()
    _define_method_flags()
    _define_optimizer_flags()
    _define_machine_flags()


def _define_data_flags():
    flags.DEFINE_string(
        "dataset",
        "fashion_mnist_13k",
        "Image classification set: any of tensorflow-datasets, such as cifar10, or "
        "fashion_mnist_13k, which ships with tfgates.",
    )
    flags.DEFINE_string(
        "data_dir", "", "Folder of the prepared data sets; empty: that of tensorflow-datasets."
    )
    flags.DEFINE_string("output_dir", "runs/default", "The run folder; one with a run is resumed.")
    _check("output_dir", bool, "is a folder, as runs/NAME")
    flags.DEFINE_integer("image_size", 32, "Height and width of the network's input, in pixels.")
    _check("image_size", lambda value: 8 <= value <= 1024, "is from 8 to 1024 pixels")
    flags.DEFINE_enum("augment", "crop_flip", list(AUGMENTATIONS), "Training augmentation.")


def _define_method_flags():
    flags.DEFINE_enum("network", "cifar_resnet20", list(NETWORKS), "The network.")
    flags.DEFINE_enum(
        "gate",
        "dependent",
        [*GATES, "none"],
        "Gates: dependent on the features, independent of them, or none: the plain network.",
    )
    flags.DEFINE_enum(
        "target_loss",
        "per_batch",
        list(TARGET_LOSSES),
        "Whether the batch as a whole or each gate is drawn to the target rate.",
    )
    flags.DEFINE_float("target_rate", 0.5, "Wanted share of executed blocks, in [0, 1].")
    _check(
        "target_rate",
        lambda value: 0 <= value <= 1,
        "is a share of executed blocks in [0, 1]; for 40 percent pass --target_rate=0.4",
    )
    flags.DEFINE_float("target_weight", 1.0, "Factor of the target loss (lambda).")
    _check("target_weight", lambda value: 0 <= value <= 1e6, "is from 0 to 1e6, as 1")


def _define_optimizer_flags():
    flags.DEFINE_integer("epochs", 350, "Epochs of the whole run.")
    _check("epochs", lambda value: 1 <= value <= MANY, f"is at least 1, at most {MANY}")
    flags.DEFINE_integer("batch_size", 256, "Images of a batch, over all replicas.")
    _check("batch_size", lambda value: 2 <= value <= MANY, "is at least 2, for batch norm")
    flags.DEFINE_integer("steps_per_epoch", 0, "Batches of an epoch; 0: the whole training split.")
    _check("steps_per_epoch", lambda value: 0 <= value <= MANY, "is 0 or the number of batches")
    flags.DEFINE_float("learning_rate", 0.1, "Initial learning rate.")
    _check("learning_rate", lambda value: 0 < value <= 1e6, "is a number above 0, as 0.1")
    flags.DEFINE_list(
        "decay_epochs",
        ["150", "250"],
        "Epochs after which the learning rate is multiplied by 0.1, separated by commas.",
    )
    flags.DEFINE_float("momentum", 0.9, "Momentum of SGD, in [0, 1).")
    _check("momentum", lambda value: 0 <= value < 1, "is in [0, 1), as 0.9")
    flags.DEFINE_float("weight_decay", 5e-4, "Weight decay on all trainable weights.")
    _check("weight_decay", lambda value: 0 <= value <= 1, "is in [0, 1], as 1e-4")


def _define_machine_flags():
    # No enum: `make_strategy` knows the names, and why it refuses others.
    flags.DEFINE_string(
        "strategy",
        "auto",
        "Devices: one; mirrored on several; auto: mirrored where there are several GPUs; "
        "multiworker: several hosts, see docs/several_hosts.md.",
    )
    flags.DEFINE_integer(
        "replicas",
        0,
        "Devices of --strategy=mirrored; 0: every GPU. Without GPUs the CPU is divided.",
    )
    _check("replicas", lambda value: 0 <= value <= 64, "is from 0 to 64")
    flags.DEFINE_enum("precision", "float32", PRECISIONS, "Keras dtype policy.")
    flags.DEFINE_integer("seed", 1, "Seed of weights, noise, order and augmentation.")
    _check("seed", lambda value: 0 <= value < 2**31, "is in [0, 2^31)")
    flags.DEFINE_boolean(
        "deterministic", False, "Same numbers in every run on this machine; slower on GPUs."
    )


def _check(name, valid, rule):
    flags.register_validator(name, valid, f"{rule}.")
