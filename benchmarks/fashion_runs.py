"""Runs of flags/fashion_mnist.cfg with a few flags changed, which two benchmarks share.

The row of each run is kept in benchmarks/results/fashion_mnist.csv, see `benchmarks.rows`.
"""

import dataclasses
import pathlib

from absl import flags

from benchmarks import rows
from tfgates.runs.grid import read_point

RESULTS = pathlib.Path(__file__).with_name("results") / "fashion_mnist.csv"


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
    """Trains the runs that have no row yet, see `benchmarks.rows.train`."""
    return rows.train(RESULTS, all_settings, jobs)


def _text(name):
    return str(flags.FLAGS[name].value)
