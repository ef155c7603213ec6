"""Runs of flags/fashion_mnist.cfg with a few flags changed, which the benchmarks share.

The row of each run is kept in benchmarks/results/fashion_mnist.csv, so that the whole can be
trained in parts: what stands there with the same flags is not trained again, on no machine.
"""

import csv
import dataclasses
import fcntl
import hashlib
import math
import os
import pathlib

from absl import flags

from tfgates.base.errors import UserError
from tfgates.report.sweep import summary, write_csv
from tfgates.report.tables import COLUMNS
from tfgates.runs.folder import RunFolder
from tfgates.runs.grid import read_point
from tfgates.runs.records import require_metrics
from tfgates.runs.sweep import seconds, train_all
from tfgates.settings.flags import TABLE

RESULTS = pathlib.Path(__file__).with_name("results") / "fashion_mnist.csv"
# Of networks with gates, and of runs that were timed.
SOME = ("stochastic_top1_error", "collapsed", "cpu_seconds")


def settings(text, seed):
    """Returns the `TrainConfig` of a text of flags, as "gate=none epochs=2", and a seed.

    Flags that say what flags/fashion_mnist.cfg says are left out of the name of its folder: equal
    runs are one run.
    """
    values = dict(part.split("=", 1) for part in text.split())
    values = {name: value for name, value in values.items() if _text(name) != value}
    point = read_point({**values, "seed": str(seed)})
    folder = pathlib.Path(flags.FLAGS.output_dir)
    name = ",".join(f"{name}={value}" for name, value in point.values.items())
    name = name.replace(f"{folder}/", "").replace("/", "-")
    return dataclasses.replace(point.settings, output_dir=str(folder / name))


def train(all_settings, jobs):
    """Trains the runs that have no row yet; ends where one fails.

    Args:
        all_settings: list of `TrainConfig`; those of one folder are one run.
        jobs: runs at a time.

    Returns:
        dict of rows by folder: its name, a checksum of its flags, `summary`, CPU seconds.
    """
    by_folder = {one.output_dir: one for one in all_settings}
    kept = read()
    rows = {}
    for folder, one in by_folder.items():
        known = kept.get(pathlib.Path(folder).name)
        if known and known["flags"] != checksum(one):
            raise UserError(
                f"{RESULTS} has a row of {known['run']} that was trained with other flags. Pass "
                "--flagfile=flags/fashion_mnist.cfg and nothing that changes it, or move the file "
                "away."
            )
        if known:
            rows[folder] = known

    def finished(one):
        rows[one.output_dir] = found = row(one)
        add(found)
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


def add(found):
    """Writes a row beside those that are there by now; another process may add some too."""
    folder = os.open(RESULTS.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        rows = {**read(), found["run"]: found}
        write_csv(RESULTS, [rows[name] for name in sorted(rows)])
    finally:
        os.close(folder)


def read():
    """Reads the rows that were written, by the name of the run.

    Raises:
        UserError: the file is damaged.
    """
    if not RESULTS.exists():
        return {}
    try:
        with RESULTS.open(newline="") as file:
            rows = [_read_row(one) for one in csv.DictReader(file)]
        if not rows:
            raise ValueError("there is no row")
    except (KeyError, TypeError, ValueError, AttributeError, csv.Error) as error:
        raise UserError(
            f"{RESULTS} is damaged: {error!r}. Get it back with git checkout, or move it away to "
            "train every run anew."
        ) from error
    return {one["run"]: one for one in rows}


def _read_row(texts):
    numbers = {name: float(texts[name]) for name in COLUMNS}
    numbers |= {name: float(texts[name]) if texts[name] else None for name in SOME}
    rates = [float(rate) for rate in texts["gate_rates"].split()]
    known = [value for value in numbers.values() if value is not None]
    # A line that was cut lacks its last columns, or has more of them than the header.
    if None in (*texts, *texts.values()) or not all(map(math.isfinite, (*known, *rates))):
        raise ValueError(f"{texts['run']}: a value is missing or no number")
    return {"run": texts["run"], "flags": texts["flags"], **numbers, "gate_rates": rates}


def checksum(one):
    """Names the flags that a run depends on, its epochs with them, but for those at their default.

    A flag that comes to train.py later leaves the rows valid.
    """
    values = {
        name: list(map(str, value)) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(one).items()
        if name == "epochs" or not TABLE[name].resumes
    }
    values = {name: value for name, value in values.items() if value != flags.FLAGS[name].default}
    values["network"] = pathlib.Path(one.network).name
    return hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()[:12]


def _text(name):
    return str(flags.FLAGS[name].value)
