"""The grid of a sweep: every combination of some values of the flags of train.py."""

import dataclasses
import itertools

from absl import flags

from tfgates.base.errors import UserError
from tfgates.settings.config import TrainConfig
from tfgates.settings.flags import TABLE


@dataclasses.dataclass(frozen=True)
class Point:
    """One combination.

    Attributes:
        values: texts of the flags that vary, by name.
        settings: `TrainConfig` of the run, whose output_dir is named after the values.
    """

    values: dict[str, str]
    settings: TrainConfig

    @property
    def name(self):
        """The name of its run folder, as "gate=dependent,seed=1"."""
        return ",".join(f"{flag}={text}" for flag, text in self.values.items()).replace("/", "-")


def read_grid(texts):
    """Combines the values of --grid with the other flags of train.py, which are parsed already.

    Args:
        texts: list of texts as "gate=dependent,independent", or several of them with spaces.

    Returns:
        List of `Point`, the values of the last flag changing fastest.

    Raises:
        UserError: another form, no such flag, a flag named twice, or a value train.py refuses.
    """
    varied: dict[str, list[str]] = {}
    for text in " ".join(texts).split():
        name, _, values = text.partition("=")
        name = name.removeprefix("--")
        if name in varied or name == "output_dir" or not all(values.split(",")):
            raise UserError(
                "--grid is made of flags of train.py, each once and not output_dir, with their "
                f"values: gate=dependent,independent seed=1,2,3. Received: {text!r}."
            )
        varied[name] = values.split(",")
    if not varied:
        raise UserError("--grid names at least one flag of train.py. Received: nothing.")
    for name, choices in varied.items():
        if name in TABLE and TABLE[name].kind == "list":
            raise UserError(
                f"--grid divides values at commas, which --{name} needs itself. Received: "
                f"{name}={','.join(choices)}. Pass --{name} beside --grid, one sweep for each."
            )
    points = [
        read_point(dict(zip(varied, values, strict=True)))
        for values in itertools.product(*varied.values())
    ]
    runs = {dataclasses.replace(point.settings, output_dir="") for point in points}
    if len(runs) < len(points) or len({point.name for point in points}) < len(points):
        raise UserError(
            "--grid names each value once: two of its runs would be the same. Received: "
            f"{' '.join(texts)}."
        )
    return points


def read_point(values):
    """Parses some values as the command line would be; the flags stay as they were.

    Args:
        values: texts of flags of train.py, by name.

    Raises:
        UserError: no such flag, or a value or a combination that train.py refuses.
    """
    unknown = sorted(set(values) - set(TABLE))
    if unknown:
        raise UserError(
            f"--grid names flags of train.py, see train.py --help. Received: {', '.join(unknown)}."
        )
    before = {name: flags.FLAGS[name].value for name in values}
    try:
        for name, text in values.items():
            flags.FLAGS[name].parse(text)
        flags.FLAGS.validate_all_flags()
        settings = TrainConfig.from_flags()
    except (flags.Error, UserError) as error:
        combination = " ".join(f"{name}={text}" for name, text in values.items())
        raise UserError(f"--grid, {combination}: {error}") from error
    finally:
        for name, value in before.items():
            flags.FLAGS[name].value = value
    point = Point(values, settings)
    folder = f"{settings.output_dir}/{point.name}"
    return Point(values, dataclasses.replace(settings, output_dir=folder))
