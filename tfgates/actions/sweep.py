"""Trains many runs, and tabulates them."""

import csv
import pathlib

from absl import flags

from tfgates.base.errors import UserError
from tfgates.base.reading import read_file
from tfgates.report.sweep import as_text, figures, summary, write_csv
from tfgates.runs.folder import RunFolder
from tfgates.runs.grid import read_grid
from tfgates.runs.records import require_metrics
from tfgates.runs.sweep import seconds, train_all

FLAGS = flags.FLAGS


def main():
    points = read_grid(FLAGS.grid)
    by_folder = {point.settings.output_dir: point for point in points}
    folder = pathlib.Path(FLAGS.output_dir)
    others = rows_of_others(folder / "sweep.csv", by_folder)
    rows: list[dict] = []
    failed: list[str] = []

    def finished(settings, code):
        point = by_folder[settings.output_dir]
        name = f"{len(rows) + len(failed) + 1} of {len(points)}, {point.name}"
        if code:
            failed.append(settings.output_dir)
            print(f"{name}: ended with {code}, see {settings.output_dir}/train.txt", flush=True)
            return
        rows.append(row(point))
        write_csv(folder / "sweep.csv", [*others, *rows])
        texts = figures(rows[-1:])
        print(f"{name}: {texts['top1_error']} % at rate {texts['rate']}", flush=True)

    print(f"{len(points)} runs in {folder}, {FLAGS.jobs} at a time.", flush=True)
    train_all([point.settings for point in points], FLAGS.jobs, finished)
    rows.sort(key=lambda one: list(by_folder).index(one["run"]))
    if rows:
        write_csv(folder / "sweep.csv", [*others, *rows])
        labels = [name for name in points[0].values if name != "seed"]
        print(f"\n{as_text(rows, labels)}\n\nEach run: {folder / 'sweep.csv'}")
    if failed:
        raise UserError(
            f"{len(failed)} of {len(points)} runs failed: {', '.join(failed)}. Mend what their "
            "train.txt says and start the same command again."
        )


def rows_of_others(path, folders):
    """Reads the rows that an earlier grid has left in the same table.

    Raises:
        UserError: it is no table of runs.
    """

    def read(file):
        return [one for one in csv.DictReader(file) if one["run"] not in folders]

    return read_file(path, read, "It is the table of the runs: move it away and start again.") or []


def row(point):
    """Returns the row of a finished run: folder, values of its flags, figures, times.

    Raises:
        UserError: its metrics.json is missing, of another model, or damaged.
    """
    folder = point.settings.output_dir
    metrics = require_metrics(RunFolder(folder))
    cpu, wall = seconds(folder)
    return {
        "run": folder,
        **point.values,
        **summary(metrics),
        "cpu_seconds": cpu,
        "wall_seconds": wall,
    }
