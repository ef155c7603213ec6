"""The configuration of a training run, from its flags (`tfgates.settings.flags`)."""

import dataclasses
import pathlib
from typing import Any

from absl import flags

from tfgates.base.errors import UserError
from tfgates.base.files import replacing
from tfgates.settings import target_flags
from tfgates.settings.flags import MANY, OF_RUN

# What may change when a run is resumed: how long, where and on how many devices it goes on, and
# what comes after the last epoch.
FREE = (
    "epochs",
    "data_dir",
    "output_dir",
    "strategy",
    "replicas",
    "deterministic",
    "keep",
    "recalibration_batches",
    "recalibration_batch_size",
)


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """A training run; each attribute is the flag of the same name."""

    dataset: str
    data_dir: str
    output_dir: str
    image_size: int
    resize: str
    statistics: str
    augment: str
    rand_augment: float
    mix: str
    network: str
    init_from: str
    fresh_weights: bool
    gate: str
    gated: str
    filter_groups: int
    last_probability: float
    target_loss: str
    target_rate: float
    block_targets: tuple[str, ...]
    target_weight: float
    target_penalty: str
    target_unit: str
    target_schedule: str
    anneal_step: float
    anneal_epochs: int
    anneal_targets: tuple[float, ...]
    target_window: int
    target_momentum: float
    relax_epochs: int
    sample_epochs: int
    epochs: int
    batch_size: int
    steps_per_epoch: int
    learning_rate: float
    linear_scaling: bool
    warmup_epochs: int
    decay_epochs: tuple[int, ...]
    momentum: float
    weight_decay: float
    decayed: str
    recalibration_batches: int
    recalibration_batch_size: int
    keep: str
    strategy: str
    replicas: int
    precision: str
    seed: int
    deterministic: bool

    @classmethod
    def from_flags(cls):
        """Reads the parsed flags.

        Raises:
            UserError: a list of another form, or flags that do not go together.
        """
        values: dict[str, Any] = {
            field.name: flags.FLAGS[field.name].value for field in dataclasses.fields(cls)
        }
        values["decay_epochs"] = _increasing(values["decay_epochs"])
        for name, read in (
            ("block_targets", target_flags.read_block_targets),
            ("anneal_targets", target_flags.read_anneal_targets),
        ):
            values[name] = read(values[name])
        settings = cls(**values)
        settings._check({name: flags.FLAGS[name].default for name in values})
        return settings

    def _check(self, defaults):
        """Refuses flags that do not go together."""
        if self.network.startswith(OF_RUN):
            self._check_network_of_run()
        elif self.fresh_weights:
            raise UserError(
                "--fresh_weights belongs to --network=run:PATH. Received: --fresh_weights with "
                f"--network={self.network}, whose weights are new anyway. Leave it out."
            )
        target_flags.check(self, defaults)
        if self.warmup_epochs and self.warmup_epochs >= min((self.epochs, *self.decay_epochs)):
            raise UserError(
                "--warmup_epochs ends before the last epoch and before the first of "
                f"--decay_epochs. Received: --warmup_epochs={self.warmup_epochs}."
            )

    def _check_network_of_run(self):
        """Refuses what a network that is trained already has brought with it."""
        brought = {
            "init_from": "weights",
            "block_targets": "gates",
            "gated": "gates",
            "statistics": "statistics",
        }
        for name, what in brought.items():
            value = getattr(self, name)
            if value and value not in ("auto", "blocks"):
                value = value if isinstance(value, str) else ",".join(value)
                raise UserError(
                    f"--network={self.network} brings its own {what}. Received: --{name}={value}. "
                    f"Leave out --{name}."
                )

    @property
    def initial_learning_rate(self):
        """The learning rate after the warm-up: with linear scaling that of a batch of 256."""
        return self.learning_rate * (self.batch_size / 256 if self.linear_scaling else 1)

    def as_flagfile(self):
        """Returns the text of a flag file that repeats this run."""
        lines = []
        for name, value in dataclasses.asdict(self).items():
            if isinstance(value, tuple):
                value = ",".join(map(str, value))
            lines.append(f"--{name}={str(value).lower() if isinstance(value, bool) else value}")
        return "\n".join(lines) + "\n"

    def claim(self, path, resumes):
        """Writes the flag file of a run folder; of one that is resumed, checks it first.

        Args:
            path: of the flag file; its folder exists.
            resumes: whether the folder holds a finished epoch.

        Raises:
            UserError: the folder holds a run with other flags, or cannot be written.
        """
        path = pathlib.Path(path)
        try:
            if resumes and path.exists():
                self._compare(path, path.read_text())
            with replacing(path) as file:
                file.write(self.as_flagfile())
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
