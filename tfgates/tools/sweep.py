"""Trains many runs: every combination of some values of train.py's flags; resumes; tabulates.

    python -m tfgates.tools.sweep --flagfile=flags/demo.cfg --output_dir=runs/sweep \\
        --grid="gate=dependent,independent target_rate=0.4,0.6 seed=1,2,3"

Every other flag is one of train.py. The same command again goes on where it was broken off:
finished runs are only read. Writes a row for each run to OUTPUT_DIR/sweep.csv as it ends, and
prints their table, over the seeds the mean and standard deviation.
"""

import csv
import pathlib

from absl import flags

import tfgates.settings.flags
from tfgates.base import command
from tfgates.base.errors import UserError
from tfgates.base.reading import read_file
from tfgates.report.sweep import as_text, figures, summary, write_csv
from tfgates.runs.folder import RunFolder
from tfgates.runs.grid import read_grid
from tfgates.runs.records import require_metrics
from tfgates.runs.sweep import seconds, train_all

tfgates.settings.flags.define_flags()
flags.adopt_module_key_flags(tfgates.settings.flags)
GRID = flags.DEFINE_multi_string(
    "grid", [], "Flags of train.py and their values: gate=dependent,independent seed=1,2,3."
)
JOBS = flags.DEFINE_integer(
    "jobs", 1, "Runs at a time, which divide the cores between them.", lower_bound=1
)


def main():
    points = read_grid(GRID.value)
    by_folder = {point.settings.output_dir: point for point in points}
    folder = pathlib.Path(flags.FLAGS.output_dir)
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

    print(f"{len(points)} runs in {folder}, {JOBS.value} at a time.", flush=True)
    train_all([point.settings for point in points], JOBS.value, finished)
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


if __name__ == "__main__":
    command.run(main)
