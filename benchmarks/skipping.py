"""What a skipped block saves in a served model, beside the plain network as Keras exports it.

    python -m benchmarks.skipping
    python -m benchmarks.skipping --networks=cifar_resnet110:32 --batches=1 --rates=0.5
    python -m benchmarks.skipping --networks=keras:MobileNetV2:224 --tables=float32
    python -m benchmarks.skipping --tables=runtimes     # pip install -e ".[runtimes]"

A network is NAME:PIXELS, or keras:NAME:PIXELS of keras.applications, whose every branch gets a gate
that looks at the image. Weights are random and the decisions are forced: at a rate of 0.4 each
image runs another 40 % of the blocks, drawn anew at each call. The gates are computed all the same.
Every row is a ratio of process CPU time to the first row's, median and quartiles over the rounds,
in which all rows take turns.
"""

import datetime
import math
import tempfile
import time

import absl.logging
import keras
import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks import checks, runtimes
from benchmarks.graphs import Graphs, is_network
from tfgates.base import command
from tfgates.base.timing import hardware, interleaved, ratio, table
from tfgates.export.skipping import as_run, best_skip
from tfgates.export.timing import SIDE_BY_SIDE, WIDE, Served
from tfgates.graph.pruning import prune
from tfgates.network import num_gates

NETWORK_SIZES = flags.DEFINE_list(
    "networks", ["resnet50:224", "cifar_resnet110:32"], "NAME:PIXELS of the networks."
)
checks.are_cases("networks", "NAME:PIXELS", is_network)
BATCHES = flags.DEFINE_list("batches", ["1", "8", "32"], "Images in a call.")
checks.are_numbers("batches", 0, 1024, "1,8")
RATES = flags.DEFINE_list("rates", ["0.4", "0.5", "0.6", "1"], "Shares of blocks that are open.")
checks.are_numbers("rates", 0, 1, "0.4,1")
TABLES = flags.DEFINE_list(
    "tables", ["float32", "bfloat16"], "Of float32, bfloat16 (against float32), runtimes."
)
checks.are_among("tables", ["float32", "bfloat16", "runtimes"])
ROUNDS = flags.DEFINE_integer("rounds", 7, "Rounds of the interleaved run.", lower_bound=1)
SECONDS = flags.DEFINE_float("seconds", 0.4, "Of an alternative in a round, at least.")

OPEN, CLOSED = -1e9, 1e9
REMOVED = 5 / 16
HALF = ", bfloat16"
RESNET50_V1_MACS = 3_857_973_248
THREADS = {"loop": SIDE_BY_SIDE, "gather": WIDE, "none": WIDE}


class Case:
    """One row: a graph, called on the same images again and again.

    Args:
        run: function of images, and of log_odds where there is a rate.
        macs: multiply-adds of an image; None where they depend on the decisions.
        rate: share of the gates that are forced open; None where none is forced.
    """

    def __init__(self, run, macs=None, rate=None):
        self.run, self.macs, self.rate = run, macs, rate
        self.rng = np.random.default_rng(2)
        self.decisions, self.forced = [], []

    def on(self, images, gates):
        """Returns the function without arguments that is timed."""
        self.decisions, self.forced = [], []
        if self.rate is None:
            return lambda: self.run(images=images)
        total = len(images) * gates

        def call():
            # A share that is no whole number of gates is met on average.
            opened = int(self.rate * total + self.rng.random())
            odds = np.full(total, CLOSED, "float32")
            odds[:opened] = OPEN
            odds = self.rng.permutation(odds).reshape(len(images), gates)
            self.forced.append(odds == OPEN)
            self.decisions.append(self.run(images=images, log_odds=odds)["decisions"])

        return call

    def executed(self, counted):
        """Returns rate and multiply-adds of an image, as they were."""
        if self.rate is None:
            return "", self.macs
        decisions = np.concatenate(self.decisions)
        if not np.array_equal(decisions, np.concatenate(self.forced)):
            raise RuntimeError("The decisions are not those that were forced: a gate met a NaN.")
        macs = counted.executed(decisions).mean() if self.macs is None else self.macs
        return f"{decisions.mean():.3f}", macs


def unforced(served, macs):
    """Returns the case of a graph from `Graphs.skipping` of which no gate is left to be forced."""
    none = np.zeros((1, 0), "float32")
    return Case(lambda images: served(images=images, log_odds=none.repeat(len(images), 0)), macs)


def float32_cases(graphs):
    """The plain network as Keras exports it first; masked, folded, pruned, and skipping."""
    network, counted = graphs.network, graphs.costs
    cases = {
        "plain, Keras export": Case(
            Served(graphs.by_keras(graphs.plain, "keras"), WIDE), counted.ungated
        )
    }
    if (network.name, graphs.shape) == ("resnet50", (224, 224, 3)):
        v1 = keras.applications.ResNet50(weights=None)
        path = str(graphs.folder / "applications")
        v1.export(path, verbose=False)
        applications = Served(path, WIDE)
        (name,) = applications.inputs
        cases["keras.applications.ResNet50"] = Case(
            lambda images: applications(**{name: images}), RESNET50_V1_MACS
        )
    cases["masked, Keras export"] = Case(
        Served(graphs.by_keras(network, "masked"), WIDE), counted.ungated
    )
    folded = graphs.skipping(graphs.plain, "folded", skip="none")
    cases["plain, folded, constants"] = unforced(Served(folded, WIDE), counted.ungated)
    gates = num_gates(network)
    closed = np.random.default_rng(1).permutation(gates)[: round(REMOVED * gates)]
    fixed = {gate: gate not in closed for gate in range(gates)}
    pruned = graphs.skipping(prune(network, fixed), "pruned", skip="none")
    cases[f"{len(closed)} of {gates} blocks removed"] = unforced(
        Served(pruned, WIDE),
        counted.ungated - sum(counted.removable[gate] for gate in closed),
    )
    for skip in ("loop", "gather"):
        served = Served(graphs.skipping(network, skip, skip=skip), THREADS[skip])
        for rate in RATES.value:
            cases[f"{skip}, rate {rate}"] = Case(served, rate=float(rate))
    served = Served(graphs.skipping(network, "none", skip="none"), THREADS["none"])
    # Whatever is decided, all of it runs.
    cases["none"] = Case(served, as_run(counted, network, "none").executed([0] * gates), rate=0.5)
    return cases


def bfloat16_cases(graphs):
    """Each graph in float32 and in bfloat16."""
    skip = best_skip(graphs.costs.branches)
    path = graphs.skipping(graphs.network, f"bf16-{skip}", skip=skip)
    folded = graphs.skipping(graphs.plain, "bf16-folded", skip="none")
    plain = graphs.by_keras(graphs.plain, "bf16-keras")
    cases = {}
    for suffix, half in (("", False), (HALF, True)):
        cases[f"plain, Keras export{suffix}"] = Case(
            Served(plain, WIDE, bfloat16=half), graphs.costs.ungated
        )
        cases[f"plain, folded, constants{suffix}"] = unforced(
            Served(folded, WIDE, bfloat16=half), graphs.costs.ungated
        )
        served = Served(path, THREADS[skip], bfloat16=half)
        for rate in RATES.value:
            cases[f"{skip}, rate {rate}{suffix}"] = Case(served, rate=float(rate))
    return cases


def runtime_cases(graphs):
    """The plain network in other runtimes, beside ours."""
    macs = graphs.costs.ungated
    plain = graphs.by_keras(graphs.plain, "runtimes-keras")
    cases = {"plain, Keras export": Case(Served(plain, WIDE), macs)}
    others = {
        "plain, ONNX Runtime": runtimes.onnx_runtime(plain),
        "plain, OpenVINO": runtimes.openvino(plain, "f32"),
        f"plain, OpenVINO{HALF}": runtimes.openvino(plain, "bf16"),
    }
    cases |= {name: Case(run, macs) for name, run in others.items() if run is not None}
    skip = best_skip(graphs.costs.branches)
    path = graphs.skipping(graphs.network, "runtimes-skip", skip=skip)
    for suffix, half in (("", False), (HALF, True)):
        served = Served(path, THREADS[skip], bfloat16=half)
        for rate in RATES.value:
            cases[f"{skip}, rate {rate}{suffix}"] = Case(served, rate=float(rate))
    return cases


KINDS = {"float32": float32_cases, "bfloat16": bfloat16_cases, "runtimes": runtime_cases}


def measure(graphs, cases, batch):
    """Prints the table of one batch size."""
    images = 255 * np.random.default_rng(3).random((batch, *graphs.shape), "float32")
    gates = num_gates(graphs.network)
    runs = {name: case.on(images, gates) for name, case in cases.items()}
    first = next(iter(runs))
    runs[first]()
    start = time.perf_counter()
    runs[first]()
    calls = max(1, math.ceil(SECONDS.value / (time.perf_counter() - start)))
    seconds = interleaved(runs, ROUNDS.value, calls)
    halves = any(name.endswith(HALF) for name in cases)
    rows = []
    for name, case in cases.items():
        rate, macs = case.executed(graphs.costs)
        cpu, wall = 1e3 * np.median(seconds[name], axis=0) / batch
        full = seconds.get(name.removesuffix(HALF), seconds[first])
        rows.append(
            [
                name,
                rate,
                f"{macs / 1e6:,.1f}",
                f"{macs / graphs.costs.ungated:.3f}",
                ratio(seconds[name], seconds[first]),
                f"{np.median(seconds[name][:, 1] / seconds[first][:, 1]):.3f}",
                *([ratio(seconds[name], full) if name.endswith(HALF) else ""] if halves else []),
                f"{cpu:.1f}",
                f"{wall:.1f}",
            ]
        )
    headers = ["", "rate", "M multiply-adds", "ideal", "CPU ratio", "wall ratio"]
    headers += ["CPU ratio to float32"] if halves else []
    headers += ["CPU ms an image", "wall ms an image"]
    print(f"\nBatch {batch}\n\n{table(rows, headers)}", flush=True)


def main():
    absl.logging.set_verbosity("error")
    print(f"{hardware()}, TensorFlow {tf.__version__}, {datetime.date.today()}")
    for described in NETWORK_SIZES.value:
        name, size = described.rsplit(":", 1)
        for kind in TABLES.value:
            print(f"\n## {name} at {size} pixels, {kind}", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                graphs = Graphs(described, folder)
                cases = KINDS[kind](graphs)
                for batch in BATCHES.value:
                    measure(graphs, cases, int(batch))


if __name__ == "__main__":
    command.run(main)
