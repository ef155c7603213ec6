"""One flag of a training run: an entry of the table of all of them (`tfgates.settings.flags`)."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

MANY = 10**7


@dataclasses.dataclass(frozen=True)
class Flag:
    """A flag: what it is called, what it takes, and when it means something.

    Attributes:
        name: of the flag, and of the attribute of `TrainConfig`.
        kind: "string", "integer", "float", "boolean", "enum" or "list", of texts.
        default: its value where it is not given.
        help: what --help says of it.
        choices: the values of an enum.
        valid: function of a value: whether it is one that the flag takes; None takes any.
        rule: what `valid` asks for, as it follows upon the name of the flag in a message.
        belongs: by the name of another flag, its values with which alone this one means something.
        resumes: whether it may change when a run is resumed.
        read: function of the value as it is parsed → as `TrainConfig` holds it.
    """

    name: str
    kind: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    valid: Callable[[Any], bool] | None = None
    rule: str = ""
    belongs: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    resumes: bool = False
    read: Callable[[Any], Any] = lambda value: value

    def value(self):
        """Returns the default as `TrainConfig` holds it."""
        return self.read(self.default)


def as_text(value):
    """Returns a value of `TrainConfig` as it stands in a flag file."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
