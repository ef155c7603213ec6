"""Runs of flags/fashion_mnist.cfg with a few flags changed, which the benchmarks share.

The row of each run is kept in benchmarks/results/fashion_mnist.csv, so that the whole can be
trained in parts: what stands there with the same flags is not trained again, on no machine.
"""

import csv
import dataclasses
import hashlib
import json
import pathlib

from absl import flags

from tfgates.config import FREE
from tfgates.report.runs import summary, write_csv
from tfgates.runs.folder import RunFolder
from tfgates.runs.grid import read_point
from tfgates.runs.many import seconds, train_all

RESULTS = pathlib.Path(__file__).with_name("results") / "fashion_mnist.csv"
TEXTS = ("run", "flags")


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
    rows = {
        folder: kept[pathlib.Path(folder).name]
        for folder, one in by_folder.items()
        if kept.get(pathlib.Path(folder).name, {}).get("flags") == checksum(one)
    }

    def finished(one):
        folder = one.output_dir
        rows[folder] = kept[pathlib.Path(folder).name] = row(one)
        write_csv(RESULTS, [kept[name] for name in sorted(kept)])
        print(f"{len(rows)} of {len(by_folder)}: {folder}", flush=True)

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
            raise SystemExit(f"{folder}: train.py ended with {code}, see {folder}/train.txt.")
        finished(one)

    train_all(all_settings, jobs, ended)


def row(one):
    """Returns the row of a finished run."""
    metrics = json.loads(RunFolder(one.output_dir).metrics.read_text())
    return {
        "run": pathlib.Path(one.output_dir).name,
        "flags": checksum(one),
        **summary(metrics),
        "cpu_seconds": seconds(one.output_dir)[0],
    }


def read():
    """Reads the rows that were written, by the name of the run."""
    if not RESULTS.exists():
        return {}
    with RESULTS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for one in rows:
        one["gate_rates"] = [float(rate) for rate in one["gate_rates"].split()]
        for name in set(one) - {*TEXTS, "gate_rates"}:
            one[name] = float(one[name]) if one[name] else None
    return {one["run"]: one for one in rows}


def checksum(one):
    """Names the flags that a run depends on, its epochs with them, but for those at their default.

    A flag that comes to train.py later leaves the rows valid.
    """
    values = {
        name: list(map(str, value)) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(one).items()
        if name == "epochs" or name not in FREE
    }
    values = {name: value for name, value in values.items() if value != flags.FLAGS[name].default}
    values["network"] = pathlib.Path(one.network).name
    return hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()[:12]


def _text(name):
    return str(flags.FLAGS[name].value)
