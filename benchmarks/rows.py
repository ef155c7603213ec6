"""The rows of many runs of train.py in a CSV file, which benchmarks share and ship.

A benchmark can be run in parts: what stands there with the same flags is not trained again, on no
machine.
"""

import csv
import dataclasses
import fcntl
import hashlib
import math
import os
import pathlib

from tfgates.base.errors import UserError
from tfgates.report.sweep import summary, write_csv
from tfgates.report.tables import COLUMNS
from tfgates.runs.folder import RunFolder
from tfgates.runs.records import require_metrics
from tfgates.runs.sweep import seconds, train_all
from tfgates.settings.flags import TABLE

# Columns that are no numbers.
TEXTS = ("run", "flags", "gate_rates")
# Flags with the path of a file or folder, of which the last part names what is in it.
PATHS = ("dataset", "network", "teacher")


def train(path, all_settings, jobs, more=lambda one: {}):
    """Trains the runs that have no row yet; ends where one fails.

    Args:
        path: `pathlib.Path` of the CSV file.
        all_settings: list of `TrainConfig`; those of one folder are one run.
        jobs: runs at a time.
        more: function of the settings of a finished run: what else its row has, numbers.

    Returns:
        dict of rows by folder: its name, a checksum of its flags, `summary`, CPU seconds.
    """
    by_folder = {one.output_dir: one for one in all_settings}
    kept = read(path)
    rows = {}
    for folder, one in by_folder.items():
        known = kept.get(pathlib.Path(folder).name)
        if known and known["flags"] != checksum(one):
            raise UserError(
                f"{path} has a row of {known['run']} that was trained with other flags. Pass the "
                "--flagfile of this benchmark and nothing that changes it, or move the file away."
            )
        if known:
            rows[folder] = known

    def finished(one):
        rows[one.output_dir] = found = {**row(one), **more(one)}
        add(path, found)
        print(f"{len(rows)} of {len(by_folder)}: {one.output_dir}", flush=True)

    train_here([one for folder, one in by_folder.items() if folder not in rows], jobs, finished)
    return rows


def train_here(all_settings, jobs, finished=lambda one: None):
    """Trains the runs whose folders are not here, whether or not they have rows.

    Args:
        all_settings, jobs: as of `train`.
        finished: function of the settings of a run, called after it.
    """

    def ended(one, code):
        folder = one.output_dir
        if code:
            raise UserError(f"{folder}: train.py ended with {code}, see {folder}/train.txt.")
        finished(one)

    train_all(all_settings, jobs, ended)


def row(one):
    """Returns the row of a finished run."""
    return {
        "run": pathlib.Path(one.output_dir).name,
        "flags": checksum(one),
        **summary(require_metrics(RunFolder(one.output_dir))),
        "cpu_seconds": seconds(one.output_dir)[0],
    }


def add(path, found):
    """Writes a row beside those that are there by now; another process may add some too."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        rows = {**read(path), found["run"]: found}
        write_csv(path, [rows[name] for name in sorted(rows)])
    finally:
        os.close(folder)


def read(path):
    """Reads the rows that were written, by the name of the run.

    Raises:
        UserError: the file is damaged.
    """
    if not path.exists():
        return {}
    try:
        with path.open(newline="") as file:
            rows = [_read_row(one) for one in csv.DictReader(file)]
        if not rows:
            raise ValueError("there is no row")
    except (KeyError, TypeError, ValueError, AttributeError, csv.Error) as error:
        raise UserError(
            f"{path} is damaged: {error!r}. Get it back with git checkout, or move it away to "
            "train every run anew."
        ) from error
    return {one["run"]: one for one in rows}


def _read_row(texts):
    # A line that was cut lacks its last columns, or has more of them than the header.
    if None in (*texts, *texts.values()):
        raise ValueError(f"{texts.get('run')}: a value is missing")
    numbers = {name: float(text) for name, text in texts.items() if name not in TEXTS and text}
    rates = [float(rate) for rate in texts["gate_rates"].split()]
    if not all(map(math.isfinite, (*numbers.values(), *rates))) or not numbers.keys() >= {*COLUMNS}:
        raise ValueError(f"{texts['run']}: a value is missing or no number")
    row = {name: numbers.get(name) if name not in TEXTS else text for name, text in texts.items()}
    return {**row, "gate_rates": rates}


def checksum(one):
    """Names the flags that a run depends on, its epochs with them, but for those at their default.

    A flag that comes to train.py later leaves the rows valid.
    """
    values = {
        name: list(map(str, value)) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(one).items()
        if (name == "epochs" or not TABLE[name].resumes) and value != TABLE[name].value()
    }
    values |= {name: pathlib.Path(getattr(one, name)).name for name in PATHS if name in values}
    values["network"] = pathlib.Path(one.network).name
    return hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()[:12]
