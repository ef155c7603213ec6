"""Runs of flags/fashion_mnist.cfg with a few flags changed, which the benchmarks share."""

import json

from absl import flags

from tfgates.grid import read_point
from tfgates.many_runs import seconds, train_all
from tfgates.report.runs import summary
from tfgates.run_folder import RunFolder


def point(text, seed):
    """Returns the `Point` of a text of flags, as "gate=none epochs=2"; equal flags, one folder."""
    values = dict(part.split("=", 1) for part in text.split())
    values = {name: value for name, value in values.items() if _text(name) != value}
    return read_point({**values, "seed": str(seed)})


def _text(name):
    return str(flags.FLAGS[name].value)


def train(points, jobs):
    """Trains the runs that are not finished; ends where one fails.

    Args:
        points: list of `Point`; those of one folder are one run.
        jobs: runs at a time.

    Returns:
        dict of rows of `summary`, with the run's folder and its CPU seconds, by folder.
    """
    by_folder = {point.settings.output_dir: point.settings for point in points}
    done = {}

    def finished(settings, code):
        folder = settings.output_dir
        if code:
            raise SystemExit(f"{folder}: train.py ended with {code}, see {folder}/train.txt.")
        done[folder] = row(folder)
        print(f"{len(done)} of {len(by_folder)}: {folder}", flush=True)

    train_all(list(by_folder.values()), jobs, finished)
    return done


def row(folder):
    """Returns the row of a finished run."""
    metrics = json.loads(RunFolder(folder).metrics.read_text())
    return {"run": folder, **summary(metrics), "cpu_seconds": seconds(folder)[0]}
