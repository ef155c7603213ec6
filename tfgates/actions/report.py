"""Writes a page of pictures and tables of runs."""

import pathlib

from absl import flags

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

FLAGS = flags.FLAGS


def main():
    runs = [RunFolder(path) for path in dict.fromkeys(map(pathlib.Path, FLAGS.run))]
    for run in runs:
        run.load_data()
        run.require_model()
    records = [Record.read(run) for run in runs]
    run = runs[0]
    _, labels, preprocessing = run.load_data()
    network = run.load_classifier().network
    records[0].require_gates(num_gates(network))
    run.warn_if_unfinished()
    dataset = common_data(runs, FLAGS.data_dir)
    path = pathlib.Path(FLAGS.output) if FLAGS.output else run.report
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
