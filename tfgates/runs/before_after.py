"""A network before and after pruning, as they are served: size, work, time and error."""

import tempfile

import numpy as np

from tfgates.base.progress import progress
from tfgates.base.timing import interleaved, ratio, table
from tfgates.export.publish import megabytes, publish
from tfgates.export.savedmodel import ServedModel
from tfgates.export.timing import WIDE, Served, in_turn, without_gates
from tfgates.graph.count import count_parameters
from tfgates.network import num_gates
from tfgates.runs.data import validation_images
from tfgates.runs.evaluate import validation_thresholds

# Batch sizes, and calls of a round: what each call costs by itself is least in the last one.
BATCHES = {1: 8, 8: 8, 128: 1}
IMAGES, ROUNDS = 128, 9


def compare(before, after, dataset, preprocessing, tau):
    """Measures two networks on the validation split, and their exports on this machine.

    Both stand beside the first one without gates, which runs every branch for every image.

    Args:
        before, after: networks.
        dataset: `ImageDataset` or `FolderDataset`, whose validation images are classified.
        preprocessing: `Preprocessing`.
        tau: threshold of both.

    Returns:
        Text of several lines, a table; and the `Result` of the second network.
    """
    networks = (without_gates(before), before, after)
    found = [_evaluated(one, dataset, preprocessing, tau) for one in networks[1:]]
    images = validation_images(dataset, preprocessing, IMAGES)
    with tempfile.TemporaryDirectory() as folder:
        models = [
            ServedModel(one, preprocessing, dataset.labels, tau=tau, top_k=1) for one in networks
        ]
        paths: list = []
        with progress("Exporting the networks", "graphs", len(models)) as show:
            for model in models:
                paths.append(publish(model, f"{folder}/{len(paths)}"))
                show(len(paths))
        sizes = [megabytes(path) for path in paths]
        times = _times([Served(path, WIDE, "predict_images") for path in paths], images)
    macs = [models[0].costs.ungated, *(one.macs for one in found)]
    errors = [f"{one.top1_error:.2f}" for one in found]
    rows = [
        ["gates", *(str(num_gates(one)) for one in networks), ""],
        _row("parameters", [count_parameters(one) for one in networks], ","),
        _row("M multiply-adds, mean", [one / 1e6 for one in macs], ".2f"),
        _row("exported, MB", sizes, ".2f"),
        *times,
        ["top-1 error, %", "", *errors, ""],
    ]
    size = dataset.size("validation")
    headers = ["every branch", "before", "after", "after to every branch"]
    return table(rows, [f"{size} validation images, tau {tau:g}", *headers]), found[1]


def _evaluated(network, dataset, preprocessing, tau):
    size = dataset.size("validation")
    with progress(f"{num_gates(network)} gates on {size} validation images", "batches") as show:
        return validation_thresholds(network, dataset, preprocessing, [tau], show)[0]


def _times(served, images):
    rows = []
    for batch, calls in BATCHES.items():
        runs = {name: in_turn(one, images, batch) for name, one in enumerate(served)}
        with progress(f"Timing batch {batch}", "timings") as show:
            seconds = interleaved(runs, ROUNDS, calls, show)
        means = [1e3 * np.median(seconds[name][:, 0]) / batch for name in runs]
        row = _row(f"CPU ms an image, batch {batch}", means, ".2f")
        rows.append([*row[:-1], ratio(seconds[2], seconds[0])])
    return rows


def _row(name, values, form):
    return [name, *(f"{value:{form}}" for value in values), f"{values[-1] / values[0]:.3f}"]
