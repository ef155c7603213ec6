"""What the options of the export cost and save: time of a request, memory, size of the file.

    python -m benchmarks.options
    python -m benchmarks.options --network=cifar_resnet20:32

The whole served model, JPEG files in, answers out; random weights, two of the gates open and two
closed for good, which --fix_collapsed fixes. Ratios are of process CPU time to the first row's.
"""

import datetime
import functools
import pathlib
import re
import subprocess
import sys
import tempfile

import absl.logging
import numpy as np
import tensorflow as tf
from absl import flags

import tfgates
from benchmarks import checks
from benchmarks.embedded import jpegs
from benchmarks.graphs import randomized
from tfgates.base import command
from tfgates.base.timing import hardware, interleaved, ratio, table
from tfgates.data.preprocess import Preprocessing
from tfgates.export.publish import publish
from tfgates.export.savedmodel import ServedModel
from tfgates.export.timing import SIDE_BY_SIDE, Served
from tfgates.network import gates
from tfgates.networks import NETWORKS

NETWORK = flags.DEFINE_string("network", "resnet50:224", "NAME:PIXELS.")
checks.are_cases("network", "NAME:PIXELS")
BATCHES = flags.DEFINE_list("batches", ["1", "8"], "Images in a request.")
checks.are_numbers("batches", 0, 1024, "1,8")
ROUNDS = flags.DEFINE_integer("rounds", 9, "Rounds of the interleaved run.", lower_bound=1)
CALLS = flags.DEFINE_integer("calls", 4, "Requests of each in a round.", lower_bound=1)
MEMORY = flags.DEFINE_string("memory", "", "Of a child process: the model whose memory it takes.")

CLASSES = 1000
COLLAPSED = {0: True, 1: True, 2: False, 3: False}
OPTIONS: dict[str, dict] = {
    "the defaults": {},
    "--weights=variables": {"weights": "variables"},
    "--decode=strict": {"decode": "strict"},
    "--fix_collapsed, 4 gates": {"fixed": COLLAPSED},
}


def export(folder):
    """Exports the network with each of the options; returns paths by their names."""
    name, size = NETWORK.value.split(":")
    plain = NETWORKS[name](CLASSES, input_shape=(int(size), int(size), 3))
    network = randomized(tfgates.gate(plain, "dependent", seed=1))
    layers = gates(network)
    for index, opened in COLLAPSED.items():
        layers[index].gate.off_on.bias.assign([0.0, 1e6 if opened else -1e6])
    labels = [f"class {index}" for index in range(CLASSES)]
    return {
        name: publish(
            ServedModel(network, Preprocessing(int(size)), labels, **options),
            f"{folder}/{index}",
        )
        for index, (name, options) in enumerate(OPTIONS.items())
    }


def peak_memory(path):
    """Returns the peak memory in MB of a process of its own that answers ten requests."""
    command = [sys.executable, "-m", "benchmarks.options", f"--network={NETWORK.value}"]
    finished = subprocess.run(
        [*command, f"--memory={path}"], capture_output=True, text=True, check=True
    )
    return float(finished.stdout.split()[-1])


def measure(paths):
    """Prints the table."""
    size = int(NETWORK.value.split(":")[1])
    served = {name: Served(path, SIDE_BY_SIDE) for name, path in paths.items()}
    ratios = []
    for batch in map(int, BATCHES.value):
        texts = jpegs(batch, size)
        runs = {name: functools.partial(run, image_bytes=texts) for name, run in served.items()}
        seconds = interleaved(runs, ROUNDS.value, CALLS.value)
        first = seconds[next(iter(seconds))]
        milliseconds = {name: 1e3 * np.median(s[:, 0]) / batch for name, s in seconds.items()}
        ratios.append(
            {name: f"{milliseconds[name]:.1f}, {ratio(seconds[name], first)}" for name in runs}
        )
    rows = []
    for name, path in paths.items():
        files = [file.stat().st_size for file in path.rglob("*") if file.is_file()]
        sizes = [f"{sum(files) / 1e6:.1f}", f"{peak_memory(path):.0f}"]
        rows.append([name, *(found[name] for found in ratios), *sizes])
    headers = [f"batch {batch}: CPU ms an image, ratio" for batch in BATCHES.value]
    print(f"\n{table(rows, ['', *headers, 'MB on disk', 'peak MB'])}", flush=True)


def main():
    absl.logging.set_verbosity("error")
    if MEMORY.value:
        served = Served(MEMORY.value, SIDE_BY_SIDE)
        for _ in range(10):
            served(image_bytes=jpegs(8, int(NETWORK.value.split(":")[1])))
        # `getrusage` would start from the memory of the parent.
        status = pathlib.Path("/proc/self/status").read_text()
        print(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024)
        return
    print(f"{hardware()}, TensorFlow {tf.__version__}, {datetime.date.today()}: {NETWORK.value}")
    with tempfile.TemporaryDirectory() as folder:
        measure(export(folder))


if __name__ == "__main__":
    command.run(main)
