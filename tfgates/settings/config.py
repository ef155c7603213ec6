"""The configuration of a training run, from its flags (`tfgates.settings.flags`)."""

import dataclasses
from typing import Any

from absl import flags

from tfgates.settings.checks import check
from tfgates.settings.flag import as_text
from tfgates.settings.flags import TABLE

# Any: a type checker does not know the classes that a program makes.
_Values: Any = dataclasses.make_dataclass("_Values", TABLE, frozen=True)


@dataclasses.dataclass(frozen=True)
class TrainConfig(_Values):
    """A training run; each attribute is the flag of the same name."""

    @classmethod
    def from_flags(cls):
        """Reads the parsed flags.

        Raises:
            UserError: a list of another form, or flags that do not go together.
        """
        settings = cls(**{name: flag.read(flags.FLAGS[name].value) for name, flag in TABLE.items()})
        check(settings)
        return settings

    @property
    def initial_learning_rate(self):
        """The learning rate after the warm-up: with linear scaling that of a batch of 256."""
        return self.learning_rate * (self.batch_size / 256 if self.linear_scaling else 1)

    @property
    def spans_epochs(self):
        """Names a flag whose course ends with the last epoch, so that more epochs change it."""
        first, last = self.gate_temperature
        if first != last:
            return "--gate_temperature"
        return "--learning_rate_schedule" if self.learning_rate_schedule == "cosine" else None

    def as_texts(self):
        """Returns the values by name, as they stand in a flag file."""
        return {name: as_text(getattr(self, name)) for name in TABLE}

    def as_flagfile(self):
        """Returns the text of a flag file that repeats this run."""
        return "".join(f"--{name}={text}\n" for name, text in self.as_texts().items())
