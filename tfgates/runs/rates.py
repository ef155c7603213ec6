"""The rate of each gate over the training, as a run has logged it."""

import csv
import dataclasses

import numpy as np

from tfgates.base.reading import read_file
from tfgates.training.logs import OF_GATE

WAY_OUT = "Restore it, or move it away: the report is then made without."


@dataclasses.dataclass(frozen=True)
class Rates:
    """The rate of each gate over the training.

    Attributes:
        unit: "training step" or "epoch".
        positions: of the rows, [S].
        values: rates, [S, G].
    """

    unit: str
    positions: np.ndarray
    values: np.ndarray


def read_rates(run):
    """Reads the rates over the training steps; of a run of few steps, over its epochs.

    Args:
        run: `RunFolder`.

    Returns:
        `Rates`, or None where neither is logged.

    Raises:
        UserError: a log is damaged.
    """
    return read_file(run.rates, _rates, WAY_OUT) or read_file(run.log, _epochs, WAY_OUT)


def _rates(file):
    return _table(file, "training step", "step", "")


def _epochs(file):
    """The log counts epochs from 0 on."""
    found = _table(file, "epoch", "epoch", OF_GATE)
    return found and dataclasses.replace(found, positions=found.positions + 1)


def _table(file, unit, column, prefix):
    """Reads the columns of the gates, whose names begin with a prefix."""
    rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != column] if rows else []
    gates = [name for name in names if name.startswith(prefix)]
    if not gates:
        return None
    values = np.array([[float(row[gate]) for gate in gates] for row in rows])
    positions = np.array([float(row[column]) for row in rows])
    if not np.isfinite(values).all() or not np.isfinite(positions).all():
        raise ValueError("a rate or its step is no number")
    return Rates(unit, positions, values)
