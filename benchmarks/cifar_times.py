"""What the networks of benchmarks.cifar10 cost as they are served: milliseconds of an image.

    python -m benchmarks.cifar_times --output_dir=runs/cifar10 --seed=1

Exports each run of a seed that has a row and a folder, with its own threshold and as --skip=auto
chooses, and classifies validation images with all of them in turn. Milliseconds are process CPU
time; a ratio is to ResNet-32 without gates, exported by tfgates too. Rows are in
benchmarks/results/cifar10_times.csv, where benchmarks.cifar10 finds them.
"""

import datetime
import pathlib
import tempfile

import absl.logging
import numpy as np
from absl import flags

from benchmarks import checks, rows
from benchmarks.cifar_runs import GATED_DEPTH, RESULTS, TIMES
from tfgates.base import command
from tfgates.base.errors import UserError
from tfgates.base.timing import hardware, interleaved, ratio, table
from tfgates.export.publish import publish
from tfgates.export.savedmodel import ServedModel
from tfgates.export.timing import SIDE_BY_SIDE, WIDE, Served, in_turn
from tfgates.graph.pruning import expected
from tfgates.report.sweep import write_csv
from tfgates.runs.data import open_data, validation_images
from tfgates.runs.folder import RunFolder

FOLDER = flags.DEFINE_string("output_dir", None, "That of benchmarks.cifar10.", required=True)
SEED = flags.DEFINE_integer("seed", 1, "Of the runs.", lower_bound=0)
BATCHES = flags.DEFINE_list("batches", ["1", "32"], "Images in a call.")
checks.are_numbers("batches", 0, 1024, "1,32")
ROUNDS = flags.DEFINE_integer("rounds", 15, "Rounds of the interleaved run.", lower_bound=1)
CALLS = flags.DEFINE_integer("calls", 8, "Calls of each network in a round.", lower_bound=1)

HEADERS = ("run", "batch", "skip", "CPU ms an image", "to plain ResNet-32")


def main():
    absl.logging.set_verbosity("error")
    found = {
        name: row
        for name, row in rows.read(RESULTS).items()
        if name.endswith(f"seed={SEED.value}") and (run_folder(name).path / "model.keras").exists()
    }
    reference = f"plain{GATED_DEPTH},seed={SEED.value}"
    if reference not in found:
        raise UserError(
            f"Times are beside {reference}. Received: {FOLDER.value}, without it. Run "
            "benchmarks.cifar10 with the same --output_dir first."
        )
    _, _, preprocessing = run_folder(reference).load_data()
    dataset = open_data(run_folder(reference))
    images = validation_images(dataset, preprocessing, 512)
    print(f"{hardware()}, {datetime.date.today()}\n")
    with tempfile.TemporaryDirectory() as folder:
        served = {name: export(name, row, pathlib.Path(folder)) for name, row in found.items()}
        timed = [line for batch in map(int, BATCHES.value) for line in times(served, images, batch)]
    print(table([list(line.values()) for line in timed], HEADERS))
    write_csv(TIMES, timed)


def run_folder(name):
    return RunFolder(pathlib.Path(FOLDER.value) / name)


def export(name, row, folder):
    """Returns how a run is skipped, and its graph."""
    _, labels, preprocessing = run_folder(name).load_data()
    network = expected(run_folder(name).load_classifier().network)
    model = ServedModel(network, preprocessing, labels, tau=row["tau"], skip="auto")
    threads = SIDE_BY_SIDE if model.skip == "loop" else WIDE
    return model.skip, Served(publish(model, folder / name), threads, "predict_images")


def times(served, images, batch):
    """Times all graphs in turn; returns a line for each."""
    runs = {name: in_turn(one, images, batch) for name, (_, one) in served.items()}
    seconds = interleaved(runs, ROUNDS.value, CALLS.value)
    reference = seconds[f"plain{GATED_DEPTH},seed={SEED.value}"]
    return [
        {
            "run": name,
            "batch": batch,
            "skip": skip,
            "milliseconds": f"{1e3 * np.median(seconds[name][:, 0]) / batch:.4f}",
            "to_plain": ratio(seconds[name], reference),
        }
        for name, (skip, _) in served.items()
    ]


if __name__ == "__main__":
    command.run(main)
