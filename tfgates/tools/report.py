"""Writes a page of pictures and tables of a run, and of others beside it.

    python -m tfgates.tools.report --run=runs/demo --run=runs/plain

The page, RUN/report.html of the first run, is one file that needs no network; its pictures are in
RUN/report/ as PNG. The test images run through the first network once more, to see which gates
open for which classes.
"""

import pathlib

from absl import flags

from tfgates.base import command
from tfgates.base.errors import UserError
from tfgates.base.progress import progress
from tfgates.data import datasets
from tfgates.inference.inside import look_inside
from tfgates.network import has_learned_gates, num_gates
from tfgates.report.page import write
from tfgates.report.run_page import build
from tfgates.runs.data import common_data, evaluation_images
from tfgates.runs.folder import RunFolder
from tfgates.runs.records import Record

RUNS = flags.DEFINE_multi_string(
    "run", None, "The run folder; given again, another to compare it with.", required=True
)
OUTPUT = flags.DEFINE_string("output", None, "The page; by default report.html of the first run.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the data sets, where it has moved.")

flags.register_validator("run", all, "is a run folder, as runs/NAME.")
flags.register_validator(
    "output",
    lambda path: path is None or pathlib.Path(path).suffix == ".html",
    "is a file that ends in .html, as report.html.",
)


def main():
    runs = [RunFolder(path) for path in dict.fromkeys(map(pathlib.Path, RUNS.value))]
    for run in runs:
        run.load_data()
        run.require_model()
    records = [Record.read(run) for run in runs]
    run = runs[0]
    _, labels, preprocessing = run.load_data()
    network = run.load_classifier().network
    records[0].require_gates(num_gates(network))
    run.warn_if_unfinished()
    dataset = common_data(runs, DATA_DIR.value)
    path = pathlib.Path(OUTPUT.value) if OUTPUT.value else run.report
    prepare(path)
    inside = None
    if has_learned_gates(network):
        task = f"Looking at {dataset.size('test')} test images"
        with datasets.readable(dataset), progress(task, "batches") as show:
            images = evaluation_images(dataset, "test", preprocessing)
            inside = look_inside(network, images, len(labels), show)
    shape = (preprocessing.size, preprocessing.size, 3)
    page = build(records, network, shape, labels, inside)
    write(page, path)
    print(f"Page: {path}\nPictures: {path.with_suffix('')}")


def prepare(path):
    """Makes the folder of the pictures, before the work begins.

    Raises:
        UserError: it cannot be made, or is a run folder, whose files the pictures would replace.
    """
    folder = path.with_suffix("")
    if RunFolder(folder).data.exists():
        raise UserError(
            f"--output={path} puts pictures into the folder {folder}, which holds a run. Choose "
            "another name."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--output={path} cannot be written: {error.strerror}. Choose another."
        ) from error


if __name__ == "__main__":
    command.run(main)
