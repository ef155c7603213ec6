"""What an image costs that leaves early, beside the part of the network before its exit alone.

    python -m benchmarks.exits
    python -m benchmarks.exits --network=cifar_densenet40:32 --units=32 --batches=1

A DenseNet with random weights and exits at the ends of its first two blocks; decisions are forced,
every layer is open. Rows that leave at exit 1 compute its gate; the part before it, which is what
pruning leaves where everybody leaves there, has none. Each row is a ratio of process CPU time to
that part's, median and quartiles over the rounds, in which all rows take turns.
"""

import datetime
import pathlib
import tempfile

import absl.logging
import keras
import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks import checks
from benchmarks.graphs import Graphs, randomized
from tfgates.base import command
from tfgates.base.timing import hardware, interleaved, ratio, table
from tfgates.export.timing import SIDE_BY_SIDE, WIDE, Served
from tfgates.graph.count import count
from tfgates.graph.exits import exits
from tfgates.graph.pruning import prune
from tfgates.inference.exits import exit_columns
from tfgates.network import num_gates
from tfgates.networks import BLOCK_ENDS

NETWORK = flags.DEFINE_string("network", "cifar_densenet100:32", "NAME:PIXELS of the network.")
flags.register_validator(
    "network",
    lambda text: text.rpartition(":")[0] in BLOCK_ENDS and text.rpartition(":")[2].isdecimal(),
    f"is NAME:PIXELS of {', '.join(BLOCK_ENDS)}.",
)
UNITS = flags.DEFINE_integer("units", 128, "Width of gates and classifiers.", lower_bound=1)
BATCHES = flags.DEFINE_list("batches", ["1", "8", "32"], "Images in a call.")
checks.are_numbers("batches", 0, 1024, "1,8")
ROUNDS = flags.DEFINE_integer("rounds", 7, "Rounds of the interleaved run.", lower_bound=1)

OPEN, CLOSED = -1e9, 1e9
THREADS = {"loop": SIDE_BY_SIDE, "gather": WIDE}


def main():
    absl.logging.set_verbosity("error")
    print(f"{hardware()}, TensorFlow {tf.__version__}, {datetime.date.today()}")
    with tempfile.TemporaryDirectory() as folder:
        graphs = Graphs(NETWORK.value, folder)
        keras.utils.set_random_seed(1)
        at = BLOCK_ENDS[graphs.network.name]
        network = randomized(exits(graphs.network, at, units=UNITS.value, seed=1))
        before = prune(network, {exit_columns(network)[0]: False})
        served = {}
        for skip, threads in THREADS.items():
            for name, one in (("before", before), ("exits", network)):
                path = graphs.skipping(one, pathlib.Path(skip) / name, skip)
                served[skip, name] = Served(path, threads)
        for batch in map(int, BATCHES.value):
            print(
                f"\nBatch {batch}\n\n{measured(graphs, network, before, served, batch)}", flush=True
            )


def measured(graphs, network, before, served, batch):
    """Times all rows on a batch; returns a table."""
    images = 255 * np.random.default_rng(3).random((batch, *graphs.shape), "float32")
    runs, macs = {}, {}
    for skip in THREADS:
        name = f"{skip}, the part before exit 1"
        runs[name] = forced(served[skip, "before"], images, np.ones(num_gates(before)))
        macs[name] = count(before).executed(np.ones(num_gates(before)))
        for label, decisions in forced_decisions(network).items():
            runs[f"{skip}, {label}"] = forced(served[skip, "exits"], images, decisions)
            macs[f"{skip}, {label}"] = count(network).executed(decisions)
    for run in runs.values():
        run()
    seconds = interleaved(runs, ROUNDS.value, max(1, 8 // batch))
    rows = []
    for name in runs:
        first = f"{name.partition(',')[0]}, the part before exit 1"
        cpu = 1e3 * np.median(seconds[name], axis=0)[0] / batch
        ideal = macs[name] / macs[first]
        cells = f"{macs[name] / 1e6:,.1f}", f"{ideal:.3f}", ratio(seconds[name], seconds[first])
        rows.append([name, *cells, f"{cpu:.1f}"])
    return table(rows, ["", "M multiply-adds", "ideal", "CPU ratio", "CPU ms an image"])


def forced_decisions(network):
    """Decisions with every layer open: leaving at exit 1, at exit 2, and going to the end."""
    first, second = exit_columns(network)
    columns = np.arange(num_gates(network))
    return {
        "leave at exit 1": (columns < first).astype(float),
        "leave at exit 2": (columns < second).astype(float),
        "to the end": np.ones(len(columns)),
    }


def forced(served, images, decisions):
    """Returns a function without arguments that runs images under decisions [G]."""
    odds = np.where(decisions > 0, OPEN, CLOSED).astype("float32")
    odds = np.repeat(odds[None], len(images), axis=0)

    def call():
        found = served(images=images, log_odds=odds)["decisions"]
        if not np.array_equal(found, odds < 0):
            raise RuntimeError("The decisions are not those that were forced: a gate met a NaN.")

    return call


if __name__ == "__main__":
    command.run(main)
