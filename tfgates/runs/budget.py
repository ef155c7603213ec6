"""The most accurate run and threshold within a budget, measured on the validation images."""

import dataclasses
import functools
import tempfile
from typing import Any

import numpy as np

from tfgates.base.errors import UserError
from tfgates.base.progress import progress
from tfgates.base.timing import interleaved
from tfgates.data import datasets
from tfgates.data.preprocess import Preprocessing
from tfgates.export.publish import publish
from tfgates.export.savedmodel import ServedModel
from tfgates.export.timing import WIDE, Served
from tfgates.graph.pruning import expected, thresholded
from tfgates.inference.budget import Candidate, best_within, frontier
from tfgates.network import num_gates
from tfgates.policies import Threshold
from tfgates.report.budget import as_text, draw, write_csv
from tfgates.runs.data import common_data
from tfgates.runs.evaluate import validation_thresholds

TAUS = [percent / 100 for percent in range(5, 100, 5)]
TIMED_IMAGES, ROUNDS = 32, 9


@dataclasses.dataclass(frozen=True)
class _Trained:
    network: Any
    preprocessing: Preprocessing


def choose(runs, data_dir=None, macs=None, milliseconds=None, **options):
    """Chooses the run and threshold with the lowest error within a budget; prints, writes files.

    Args:
        runs, data_dir: as of `measure`.
        macs: mean multiply-adds of an image, or None.
        milliseconds: mean time of an image instead, one at a time on this machine.
        **options: of `timed`.

    Returns:
        The `RunFolder` and its `Candidate`.

    Raises:
        UserError: the cheapest candidate is not within the budget.
    """
    candidates = measure(runs, data_dir)
    limit, name, unit = macs, "budget_macs", "multiply-adds"
    if milliseconds is not None:
        limit, name, unit = milliseconds, "budget_ms", "milliseconds"
        candidates = timed(candidates, runs, data_dir, **options)
    found, chosen = frontier(candidates), best_within(candidates, limit)
    print(f"\n{as_text(found, chosen)}\n", flush=True)
    if chosen is None:
        cheapest = found[0]
        raise UserError(
            f"No threshold is within --{name}={limit:g}. The cheapest is {cheapest.run} at tau "
            f"{cheapest.tau:g}, with {cheapest.cost:.4g} {unit} an image and "
            f"{cheapest.result.top1_error:.2f} % error. Pass a greater budget, or a run that was "
            "trained with a lower --target_rate."
        )
    # The folder that was measured: it refuses a model that took the place of the first meanwhile.
    run = next(one for one in runs if str(one.path) == chosen.run)
    write_csv(candidates, found, chosen, run.budget_table)
    draw(candidates, found, chosen, limit, run.budget_picture)
    print(f"Written: {run.budget_table}, {run.budget_picture}", flush=True)
    return run, chosen


def measure(runs, data_dir=None):
    """Evaluates each run at each of the `TAUS`; a network without gates has one.

    Args:
        runs: list of `RunFolder`.
        data_dir: where data sets have moved to; None is where they were.

    Returns:
        List of `Candidate`.

    Raises:
        UserError: the validation images of two runs differ.
    """
    dataset = common_data(runs, data_dir)
    candidates = []
    for run, trained in [(run, _load(run)) for run in runs]:
        gated = num_gates(trained.network) > 0
        taus = TAUS if gated else [0.5]
        what = f"tau from {taus[0]:g} to {taus[-1]:g}" if gated else "without gates,"
        task = f"{run.path}: {what} on {dataset.size('validation')} validation images"
        with progress(task, "batches") as show:
            results = validation_thresholds(
                trained.network, dataset, trained.preprocessing, taus, show
            )
        candidates += [
            Candidate(str(run.path), tau, result) for tau, result in zip(taus, results, strict=True)
        ]
    return candidates


def timed(candidates, runs, data_dir=None, **options):
    """Times the exported graphs of candidates in turn, one encoded validation image a call.

    Args:
        candidates: list of `Candidate` of `measure`.
        runs, data_dir: as of `measure`.
        **options: of the `ServedModel`s: skip, weights, decode.

    Returns:
        The candidates with their mean wall time of an image, that of each the median of some
        rounds.
    """
    dataset = common_data(runs, data_dir)
    with datasets.readable(dataset):
        # In the stored order the first images may all be of one class.
        records = dataset.records("validation", order=0).take(TIMED_IMAGES)
        images = [image for image, _ in records.as_numpy_iterator()]
    trained = {str(run.path): _load(run) for run in runs}
    with tempfile.TemporaryDirectory() as folder:
        calls = _exported(candidates, trained, dataset.labels, folder, options)
        alternatives = {
            (key, index): functools.partial(classify, image)
            for index, image in enumerate(images)
            for key, classify in calls.items()
        }
        task = f"Timing {len(calls)} different thresholds on {len(images)} images"
        with progress(task, "timings") as show:
            seconds = interleaved(alternatives, ROUNDS, 1, show)
    wall = {key: 1e3 * np.median(values[:, 1]) for key, values in seconds.items()}
    return [
        dataclasses.replace(
            one,
            milliseconds=float(
                np.mean([wall[_decisions(one), index] for index in range(len(images))])
            ),
        )
        for one in candidates
    ]


def _exported(candidates, trained, labels, folder, options):
    """Returns for the `_decisions` of candidates a function that classifies an encoded image."""
    served: dict[tuple, Served] = {}
    calls: dict[tuple, Any] = {}
    with progress("Exporting", "thresholds", len(candidates)) as show:
        for done, one in enumerate(candidates, 1):
            network, preprocessing = trained[one.run].network, trained[one.run].preprocessing
            # tau of a request moves dependent gates only.
            key = one.run, *thresholded(network, Threshold(one.tau)).values()
            if key not in served:
                model = ServedModel(network, preprocessing, labels, tau=one.tau, **options)
                path = publish(model, f"{folder}/{len(served)}")
                served[key] = Served(path, WIDE, "predict_tau")
            calls[_decisions(one)] = functools.partial(_classify, served[key], one.tau)
            show(done)
    return calls


def _decisions(candidate):
    """What thresholds that decide alike have in common: they are timed once."""
    return candidate.run, *candidate.result.gate_rates


def _classify(served, tau, image):
    served(image_bytes=np.array([image], object), tau=np.array([tau], "float32"))


def _load(run):
    _, _, preprocessing = run.load_data()
    return _Trained(expected(run.load_classifier().network), preprocessing)
