"""Times the ways of serving a run."""

import shlex
import tempfile

import numpy as np
from absl import flags, logging

from tfgates.base.progress import progress
from tfgates.base.timing import hardware, interleaved, ratio, table
from tfgates.export.publish import publish
from tfgates.export.savedmodel import ServedModel
from tfgates.export.skipping import SKIPS
from tfgates.export.timing import (
    SIDE_BY_SIDE,
    WIDE,
    Served,
    export_with_keras,
    in_turn,
    without_gates,
)
from tfgates.graph.pruning import expected
from tfgates.runs.data import open_data, validation_images
from tfgates.runs.folder import RunFolder

FLAGS = flags.FLAGS

PLAIN = "without gates, Keras export"


def main():
    # The session is TensorFlow's old one, as in the server; it says so each time.
    logging.set_verbosity(logging.ERROR)
    run = RunFolder(FLAGS.run)
    _, labels, preprocessing = run.load_data()
    network = expected(run.load_classifier().network)
    batches = sorted({int(text) for text in FLAGS.batches})
    dataset = open_data(run, FLAGS.data_dir)
    images = validation_images(dataset, preprocessing, 2 * batches[-1])
    with tempfile.TemporaryDirectory() as folder:
        models = {
            skip: ServedModel(network, preprocessing, labels, tau=FLAGS.tau, skip=skip)
            for skip in SKIPS
        }
        with progress("Exporting", "graphs", 1 + len(models)) as show:
            ways = export(without_gates(network), models, images.shape[1:], folder, show)
        costs = next(iter(models.values())).costs
        print(f"{hardware()}; {describe(ways, images, costs)}", flush=True)
        seconds = [measure(ways, images, batch) for batch in batches]
    print(recommendation(ways, seconds))


def export(plain, models, shape, folder, show):
    """Exports all ways; returns the graph of each, its --skip and its threads, by name."""
    served = Served(export_with_keras(plain, shape, f"{folder}/plain"), WIDE)
    show(1)
    ways: dict[str, tuple] = {PLAIN: (served, None, WIDE)}
    for done, (skip, model) in enumerate(models.items(), 2):
        path = publish(model, f"{folder}/{skip}")
        for threads in sorted({WIDE, SIDE_BY_SIDE}):
            served = Served(
                path, threads, "predict_images", bfloat16=FLAGS.mixed_precision == "bfloat16"
            )
            ways[f"--skip={skip}, threads {threads[0]} x {threads[1]}"] = served, skip, threads
        show(done)
    return ways


def describe(ways, images, costs):
    """Says what the gates do on these images."""
    served = next(served for served, skip, _ in ways.values() if skip is not None)
    answer = served(images=images)
    share = answer["macs"].mean() / costs.ungated
    return (
        f"rate {answer['gates'].mean():.3f} at tau {FLAGS.tau:g}, {100 * share:.1f} % of the "
        f"{costs.ungated / 1e6:,.1f} M multiply-adds, on {len(images)} validation images"
    )


def measure(ways, images, batch):
    """Times all ways at one batch size and prints their table; returns the seconds by name."""
    runs = {name: in_turn(served, images, batch) for name, (served, _, _) in ways.items()}
    print()
    with progress(f"Timing batch {batch}", "timings") as show:
        seconds = interleaved(runs, FLAGS.rounds, FLAGS.calls, show)
    rows = []
    for name in ways:
        relative = seconds[name] / seconds[PLAIN]
        times = 1e3 * np.median(seconds[name], axis=0) / batch
        rows.append(
            [
                name,
                ratio(seconds[name], seconds[PLAIN]),
                f"{np.median(relative[:, 1]):.3f}",
                *(f"{milliseconds:.2f}" for milliseconds in times),
            ]
        )
    headers = [f"batch {batch}", "CPU ratio", "wall ratio", "CPU ms an image", "wall ms an image"]
    print(f"\n{table(rows, headers)}", flush=True)
    return seconds


def recommendation(ways, seconds):
    """Names the way that takes the least process CPU time over all batch sizes."""
    ratios = {
        name: np.exp(np.mean([np.log(np.median(s[name][:, 0] / s[PLAIN][:, 0])) for s in seconds]))
        for name in ways
    }
    best = min(ratios, key=lambda name: ratios[name])
    _, skip, (intra, inter) = ways[best]
    if skip is None:
        return "\nThe network without gates is the fastest here: its gates do not pay at this size."
    half = " --mixed_precision=bfloat16" if FLAGS.mixed_precision == "bfloat16" else ""
    tau = [] if FLAGS.tau == FLAGS["tau"].default else [f"--tau={FLAGS.tau:g}"]
    tool = ["python", "-m", "tfgates.tools.export"]
    return (
        f"\nLeast process CPU time, {ratios[best]:.2f} of the network without gates:\n"
        f"  {shlex.join([*tool, f'--run={FLAGS.run}', f'--skip={skip}', *tau])}\n"
        f"  server flags: --tensorflow_intra_op_parallelism={intra} "
        f"--tensorflow_inter_op_parallelism={inter}{half}"
    )
