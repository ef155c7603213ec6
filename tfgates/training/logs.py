"""The CSV logs of a run: looked at before it goes on, cut where an epoch was not finished."""

import csv
import math

import numpy as np

from tfgates.base.files import replacing
from tfgates.base.reading import read_file

# Of the entries of a log, what the names of the gates come after.
OF_GATE = "gate/"
WAY_OUT = "Restore it, or move it away: it is then begun anew."


def keep_rows(path, column, last):
    """Drops the rows of a log that belong to an epoch that was not finished; see `read_rows`."""
    rows = read_rows(path, column, last)
    if not rows:
        path.unlink(missing_ok=True)
        return
    with replacing(path, newline="") as file:
        csv.writer(file).writerows(rows)


def read_rows(path, column, last, columns=()):
    """Reads the rows of a log that belong to finished epochs.

    Args:
        path: `pathlib.Path` of the CSV file.
        column: name of a column of numbers, that count from row to row.
        last: rows with a greater number are left out, and those that a kill has cut off.
        columns: names of columns that hold a number in each of the rows.

    Returns:
        List of rows of texts, the header first; nothing where there is no file, or an empty one.

    Raises:
        UserError: the log is damaged.
    """

    def read(file):
        rows = list(csv.reader(file))
        if not rows:
            return []
        header = rows[0]
        missing = [name for name in (column, *columns) if name not in header]
        if missing:
            raise ValueError(f"it lacks the column {missing[0]}")
        counter, *cells = map(header.index, (column, *columns))
        kept = [
            row for row in rows[1:] if len(row) == len(header) and _number(row[counter]) <= last
        ]
        for row in kept:
            for cell in cells:
                if not math.isfinite(_number(row[cell])):
                    raise ValueError(f"{header[cell]} is {row[cell][:40]!r}")
        return [header, *kept]

    return read_file(path, read, WAY_OUT)


def gate_rates(path):
    """Reads the rates of all gates from the log of the epochs: [epochs, G]."""

    def read(file):
        header, *rows = csv.reader(file)
        gates = [index for index, name in enumerate(header) if name.startswith(OF_GATE)]
        return np.array([[float(row[index]) for index in gates] for row in rows])

    return read_file(path, read, WAY_OUT)


def best_epoch(path):
    """Returns the first epoch, from 1, with the best validation accuracy of a log; 0 without.

    Raises:
        UserError: the log is damaged.
    """

    def read(file):
        return [(float(row["val_accuracy"]), -int(row["epoch"])) for row in csv.DictReader(file)]

    scores = read_file(path, read, WAY_OUT)
    return 1 - max(scores)[1] if scores else 0


def _number(text):
    """Reads a cell; one that is no number counts as not finished."""
    try:
        return float(text)
    except ValueError:
        return math.inf
