"""What a run has recorded of its model, written and read: results, thresholds."""

import csv
import dataclasses
import json
import math
from typing import Any

from tfgates.base.errors import UserError
from tfgates.base.files import replacing, write_json
from tfgates.base.reading import read_file
from tfgates.inference.exits import ExitResult
from tfgates.inference.gain import Gain
from tfgates.inference.passes import Result
from tfgates.report.comparison import evaluate
from tfgates.report.tables import COLUMNS
from tfgates.runs.rates import Rates, read_rates

# The name under which results carry the digest of their model.
DIGEST = "model_sha256"


@dataclasses.dataclass(frozen=True)
class Metrics:
    """The results of a run on its test images.

    Attributes:
        test_images: their number.
        target_rate: what the run was trained towards, over all gates.
        ungated_macs: multiply-adds of the network without gates.
        policies: list of `Result`, that of the network's own policy first.
    """

    test_images: int
    target_rate: float
    ungated_macs: int
    policies: list[Result]


@dataclasses.dataclass(frozen=True)
class Record:
    """A run as it stands in its folder; what is not there is None.

    Attributes:
        name: path of the folder.
        flags: of the training, texts by name.
        metrics: `Metrics`.
        rates: `Rates`.
        thresholds: list of `Result` on the validation images, whose policies are thresholds.
        gain: `Gain`.
        exits: list of `ExitResult` on the test images.
    """

    name: str
    flags: dict[str, str]
    metrics: Metrics | None
    rates: Rates | None
    thresholds: list[Result] | None
    gain: Gain | None = None
    exits: list[ExitResult] | None = None

    @classmethod
    def read(cls, run):
        """Reads the files of a `RunFolder`.

        Raises:
            UserError: one of them is damaged.
        """
        flags = run.load_flags()
        return cls(
            name=str(run.path),
            flags=flags,
            metrics=read_metrics(run),
            rates=read_rates(run),
            thresholds=read_thresholds(run),
            gain=read_gain(run),
            exits=read_exits(run),
        )

    def require_gates(self, gates):
        """Refuses results of another number of gates than the network has.

        Raises:
            UserError: names the file.
        """
        found = len(self.metrics.policies[0].gate_rates) if self.metrics else gates
        if found != gates:
            raise UserError(
                f"{self.name}/metrics.json has rates of {found} gates, and the model {gates}. "
                f"Make it anew with {evaluate(self.name)}."
            )


def write_metrics(run, dataset, metrics):
    """Writes the results on the test images, with the digest of the model.

    Args:
        run: `RunFolder`.
        dataset: its name.
        metrics: `Metrics`.
    """
    found = {DIGEST: run.digest, "dataset": dataset, **dataclasses.asdict(metrics)}
    write_json(run.metrics, found)


def write_thresholds(run, results):
    """Writes a row for each threshold, with the digest of the model.

    Args:
        run: `RunFolder`.
        results: list of `Result` of `tfgates.inference.evaluate.evaluate_thresholds`.
    """
    with replacing(run.thresholds_table, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["tau", *COLUMNS, DIGEST])
        writer.writerows(
            [result.policy, *(getattr(result, column) for column in COLUMNS), run.digest]
            for result in results
        )


def write_gain(run, gain):
    """Writes what is gained by looking at the image, a `Gain`, with the digest of the model."""
    write_json(run.gain, {DIGEST: run.digest, **dataclasses.asdict(gain)})


def write_exits(run, results):
    """Writes what each exit does, a list of `ExitResult`, with the digest of the model."""
    write_json(run.exits, {DIGEST: run.digest, "exits": list(map(dataclasses.asdict, results))})


def read_metrics(run):
    """Reads the results on the test images.

    Args:
        run: `RunFolder`.

    Returns:
        `Metrics`, or None where the model has not been evaluated; results of another model are
        left out, and a line says so.

    Raises:
        UserError: metrics.json is damaged.
    """
    return _of_the_model(run, run.metrics, _metrics)


def require_metrics(run):
    """Reads the results on the test images, and refuses a run without those of its model.

    Raises:
        UserError: metrics.json is missing, of another model, or damaged.
    """
    metrics = read_metrics(run)
    if metrics is None:
        raise UserError(
            f"{run.path} has no metrics.json of its model. This makes it: {evaluate(run.path)}"
        )
    return metrics


def read_thresholds(run):
    """Reads the thresholds, as `Result`s; see `read_metrics`."""
    return _of_the_model(run, run.thresholds_table, _thresholds)


def read_gain(run):
    """Reads a `Gain`; see `read_metrics`."""
    return _of_the_model(run, run.gain, _gain)


def read_exits(run):
    """Reads a list of `ExitResult`; see `read_metrics`."""
    return _of_the_model(run, run.exits, _exits)


def _of_the_model(run, path, reader):
    """Reads results that begin with the digest of their model; None where it is another one."""
    again = f"Make it anew with {evaluate(run.path)}, or move it away."
    digest, results = read_file(path, reader, again) or (None, None)
    if results is None or digest == run.digest:
        return results
    print(
        f"Note: {path} is of another model than {run.model.name} and is left out. This measures "
        f"it anew: {evaluate(run.path)}",
        flush=True,
    )
    return None


def _metrics(file):
    found = json.load(file)
    policies = [_result(row) for row in found["policies"]]
    if len({len(one.gate_rates) for one in policies}) != 1:
        raise ValueError("the policies have unlike numbers of gates, or there are none")
    return found.get(DIGEST), Metrics(
        test_images=int(_number("test_images", found["test_images"])),
        target_rate=_number("target_rate", found["target_rate"]),
        ungated_macs=int(_number("ungated_macs", found["ungated_macs"])),
        policies=policies,
    )


def _gain(file):
    found = json.load(file)
    digest, kept = found.pop(DIGEST, None), found.pop("kept")
    if not all(isinstance(name, str) for name in kept):
        raise ValueError("kept are names of gates")
    return digest, Gain(**{name: _number(name, value) for name, value in found.items()}, kept=kept)


def _exits(file):
    found = json.load(file)
    results = [ExitResult(**row) for row in found["exits"]]
    for name, value in ((n, v) for one in results for n, v in dataclasses.asdict(one).items()):
        if value is not None or name not in ("error_chosen", "macs"):
            _number(name, value)
    return found.get(DIGEST), results


def _result(row):
    result = Result(**row)
    for field in dataclasses.fields(Result):
        value = getattr(result, field.name)
        if field.name == "policy":
            if not isinstance(value, str):
                raise ValueError(f"policy is {value!r}")
        elif field.name == "gate_rates":
            for rate in value:
                if not 0 <= _number("a rate", rate) <= 1:
                    raise ValueError(f"a rate is {rate}")
        elif value is not None or field.default is dataclasses.MISSING:
            _number(field.name, value)
    return result


def _number(name, value):
    """Returns a number of a file, which is finite and no text."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}")
    return value


def _thresholds(file):
    found: list[Any] = []
    digests = set()
    for row in csv.DictReader(file):
        digests.add(row.get(DIGEST))
        numbers = {name: _number(name, float(row[name])) for name in ("tau", *COLUMNS)}
        found.append(Result(policy=f"{numbers.pop('tau'):g}", gate_rates=[], **numbers))
    if len(digests) != 1:
        raise ValueError(f"the thresholds are of {len(digests)} models")
    return digests.pop(), found
