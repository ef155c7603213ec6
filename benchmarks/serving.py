"""What the embedded server adds to the model: latency, throughput, swaps of versions, memory.

    python -m benchmarks.serving
    python -m benchmarks.serving --cases=cifar_resnet20:32 --parts=latency,throughput

A case is NETWORK:PIXELS, exported with random weights. The server runs in a process of its own, and
so does each client; "direct" calls the same session without a server. Alternatives take turns.
"""

import contextlib
import datetime
import shutil
import sys
import tempfile
import threading
import time

import grpc
import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks import checks
from benchmarks.embedded import ROOT, clients, export, jpegs, request_for, serving
from benchmarks.load import PREDICT
from tfgates.base import command
from tfgates.base.timing import hardware, interleaved, table

sys.path.insert(0, str(ROOT / "serving"))

from tfgates_server.model import Model

CASES = flags.DEFINE_list("cases", ["cifar_resnet20:32", "resnet50:224"], "What is served.")
checks.are_cases("cases", "NAME:PIXELS")
PARTS = flags.DEFINE_list(
    "parts", ["latency", "throughput", "swaps", "memory"], "What is measured."
)
checks.are_among("parts", PARTS.default)
ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds of the interleaved runs.", lower_bound=1)
SECONDS = flags.DEFINE_float("seconds", 4.0, "Of one alternative in a round of throughput.")
CLIENTS = flags.DEFINE_integer("clients", 8, "Processes that ask at once.", lower_bound=1)
REQUESTS = flags.DEFINE_integer("requests", 10_000, "Of the memory part.", lower_bound=10)

DIRECT_BATCHES = (1, 8, 32)
CLIENT_BATCHES = (1, 8)
SWAPS = 3
BATCHING = ROOT / "serving/batching_parameters.txt"


def measure_latency(model, images, folder):
    """Prints what one request of one image takes, with a server and without."""
    with serving(folder) as (address, _), grpc.insecure_channel(address) as channel:
        predict = channel.unary_unary(PREDICT)
        request = request_for(images[:1]).SerializeToString()
        seconds = interleaved(
            {
                "direct": lambda: model.run("serving_default", {"image_bytes": images[:1]}),
                "embedded server": lambda: predict(request),
            },
            40 * ROUNDS.value,
            1,
        )
    walls = {name: 1e3 * values[:, 1] for name, values in seconds.items()}
    added = np.median(walls["embedded server"] - walls["direct"])
    least = walls["embedded server"].min() - walls["direct"].min()
    rows = [[name, *spread(values), f"{values.min():.2f}"] for name, values in walls.items()]
    print(table(rows, ["one image", "median ms", "quartiles", "least"]))
    print(f"\nAdded: {added:.2f} ms (median of pairs), {least:.2f} ms (least)\n", flush=True)


def measure_throughput(model, images, folder):
    """Prints images per second of several clients beside those of the session on its own."""
    batching = ("--enable_batching", f"--batching_parameters_file={BATCHING}")
    runs = {f"direct, {size} at once": direct(model, images[:size]) for size in DIRECT_BATCHES}
    with contextlib.ExitStack() as stack:
        for size in CLIENT_BATCHES:
            for name, arguments in {"": (), ", batching": batching}.items():
                address, process = stack.enter_context(serving(folder, *arguments))
                ask = stack.enter_context(
                    clients(address, request_for(images[:size]), folder, CLIENTS.value)
                )
                name = f"{CLIENTS.value} clients, {size} a request{name}"
                runs[name] = embedded(ask, process, size)
        figures = {name: [] for name in runs}
        for _ in range(ROUNDS.value):
            for name, run in runs.items():
                figures[name].append(run(SECONDS.value))
    figures = {name: np.array(values) for name, values in figures.items()}
    best = max(
        list(figures)[: len(DIRECT_BATCHES)], key=lambda name: np.median(figures[name][:, 0])
    )
    rows = []
    for name, values in figures.items():
        low, share, high = np.percentile(values[:, 0] / figures[best][:, 0], [25, 50, 75])
        rate, cpu = np.median(values, axis=0)
        rows.append([name, f"{rate:.1f}", f"{share:.2f} ({low:.2f}-{high:.2f})", f"{cpu:.2f}"])
    print(table(rows, ["", "images/s", "of the best direct", "CPU ms an image"]), "\n", flush=True)


def direct(model, images):
    """Returns a function seconds -> images per second, CPU milliseconds of an image."""

    def run(seconds):
        count, cpu, start = 0, time.process_time(), time.perf_counter()
        while time.perf_counter() < start + seconds:
            model.run("serving_default", {"image_bytes": images})
            count += len(images)
        passed = time.perf_counter() - start
        return count / passed, 1e3 * (time.process_time() - cpu) / count

    return run


def embedded(ask, process, size):
    """As `direct`, of clients and the server's process."""

    def run(seconds):
        cpu, start = cpu_seconds(process), time.perf_counter()
        answered, failed, _ = ask(seconds).sum(axis=0)
        if failed:
            raise RuntimeError(f"{failed} requests failed.")
        passed = time.perf_counter() - start
        return size * answered / passed, 1e3 * (cpu_seconds(process) - cpu) / (size * answered)

    return run


def cpu_seconds(process):
    times = process.cpu_times()
    return times.user + times.system


def measure_swaps(version, images, folder):
    """Prints what becomes of requests while versions are swapped."""
    rows = []
    request = request_for(images[:1])
    with serving(folder) as (address, _), clients(address, request, folder, CLIENTS.value) as ask:
        for swaps in (0, SWAPS):
            swapping = threading.Thread(target=swap, args=(version, swaps))
            swapping.start()
            answered, failed, slowest = ask(SECONDS.value * (SWAPS + 1)).T
            swapping.join()
            rows.append([swaps, int(sum(answered)), int(sum(failed)), f"{1e3 * max(slowest):.0f}"])
    print(table(rows, ["swaps", "requests", "failed", "slowest, ms"]), "\n", flush=True)


def swap(version, count):
    """Publishes so many copies of a version, one after the other."""
    for number in range(2, count + 2):
        time.sleep(SECONDS.value)
        unfinished = shutil.copytree(version, version.with_name(f".tmp-{number}"))
        unfinished.rename(version.with_name(str(number)))


def measure_memory(images, folder):
    """Prints the memory of the server over many requests of one to eight images."""
    with serving(folder) as (address, process), grpc.insecure_channel(address) as channel:
        predict = channel.unary_unary(PREDICT)
        requests = [request_for(images[:size]).SerializeToString() for size in (1, 2, 4, 8)]
        rows = []
        for sent in range(REQUESTS.value + 1):
            if sent % (REQUESTS.value // 10) == 0:
                rows.append([sent, f"{process.memory_info().rss / 2**20:.0f}"])
            predict(requests[sent % len(requests)])
    print(table(rows, ["requests", "resident MiB"]), "\n", flush=True)


def spread(values):
    low, median, high = np.percentile(values, [25, 50, 75])
    return f"{median:.2f}", f"{low:.2f}-{high:.2f}"


def main():
    # As in the server; the first session of a process sets it for all.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.get_logger().setLevel("ERROR")
    print(f"{hardware()}, TensorFlow {tf.__version__}, {datetime.date.today()}")
    for case in CASES.value:
        with tempfile.TemporaryDirectory() as folder:
            version = export(case, folder)
            images = jpegs(max(DIRECT_BATCHES), int(case.split(":")[1]))
            print(f"\n{case}\n")
            model = Model("gated", version)
            if "latency" in PARTS.value:
                measure_latency(model, images, folder)
            if "throughput" in PARTS.value:
                measure_throughput(model, images, folder)
            if "swaps" in PARTS.value:
                measure_swaps(version, images, folder)
            if "memory" in PARTS.value:
                measure_memory(images, folder)


if __name__ == "__main__":
    command.run(main)
