"""What a gate costs in training: step time, images per second and memory, plain and gated.

    python -m benchmarks.training_step
    python -m benchmarks.training_step --cases=cifar_resnet20:32:128 --variants=all

A case is NETWORK:PIXELS:BATCH. Each row is the ratio to the plain functional model in the same
setting, its steps interleaved with those of the others: median and quartiles of process CPU time.
"""

import datetime
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf
from absl import flags

import tfgates
from benchmarks import checks
from tfgates.base import command
from tfgates.base.timing import hardware, interleaved, ratio, table
from tfgates.networks import NETWORKS

CASES = flags.DEFINE_list(
    "cases", ["cifar_resnet20:32:128", "cifar_resnet110:32:128", "resnet50:64:32"], "What is timed."
)
checks.are_cases("cases", "NAME:PIXELS:BATCH")
VARIANTS = flags.DEFINE_enum("variants", "gates", ["gates", "all"], "all: XLA and replicas too.")
ROUNDS = flags.DEFINE_integer("rounds", 9, "Rounds of the interleaved run.", lower_bound=1)
STEPS = flags.DEFINE_integer("steps", 3, "Steps of an alternative in a round.", lower_bound=1)
MEMORY = flags.DEFINE_string("memory", "", "Of a child process: the one variant it measures.")

GATES = ("none", "dependent", "independent")
CLASSES = 10


def variants():
    """The alternatives by name: gate, XLA, number of replicas; the plain network comes first."""
    settings = {"": (False, 1), ", XLA": (True, 1), ", two replicas": (False, 2)}
    if VARIANTS.value == "gates":
        settings = {"": (False, 1)}
    return {
        f"{'plain' if gate == 'none' else gate}{suffix}": (gate, xla, replicas)
        for suffix, (xla, replicas) in settings.items()
        for gate in GATES
    }


def make_step(case, gate, xla, replicas):
    """Returns a function that trains one step on random images."""
    name, size, batch = case.split(":")
    size, batch = int(size), int(batch)
    strategy = tf.distribute.get_strategy()
    if replicas > 1:
        strategy = tf.distribute.MirroredStrategy(
            [f"CPU:{index}" for index in range(replicas)],
            cross_device_ops=tf.distribute.ReductionToOneDevice(),
        )
    keras.utils.set_random_seed(1)
    with strategy.scope():
        network = NETWORKS[name](CLASSES, (size, size, 3), synchronized=replicas > 1)
        if gate != "none":
            options = {"synchronized": replicas > 1} if gate == "dependent" else {}
            network = tfgates.gate(network, gate, seed=1, **options)
        classifier = tfgates.GatedClassifier(network, weight_decay=1e-4, seed=1)
        classifier.compile(
            keras.optimizers.SGD(0.01, momentum=0.9),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=["accuracy"],
            jit_compile=False,
        )
    rng = np.random.default_rng(1)
    share = (batch // replicas, size, size, 3)
    images = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(rng.normal(size=share), tf.float32)
    )
    labels = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(rng.integers(0, CLASSES, share[0]))
    )

    @tf.function(jit_compile=xla)
    def step(images, labels):
        return strategy.run(lambda *data: classifier.train_step(data), args=(images, labels))

    return lambda: step(images, labels)


def peak_memory(case, variant):
    """Returns the peak memory in MB of a process of its own that trains a few steps."""
    command = [sys.executable, "-m", "benchmarks.training_step", f"--cases={case}"]
    finished = subprocess.run(
        [*command, f"--variants={VARIANTS.value}", f"--memory={variant}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(finished.stdout.split()[-1])


def measure(case):
    """Prints the table of one case."""
    found = variants()
    steps = {variant: make_step(case, *settings) for variant, settings in found.items()}
    seconds = interleaved(steps, ROUNDS.value, STEPS.value)
    batch = int(case.split(":")[2])
    rows = []
    for variant, (_, xla, replicas) in found.items():
        plain = next(name for name, one in found.items() if one == ("none", xla, replicas))
        cpu, wall = np.median(seconds[variant], axis=0)
        rows.append(
            [
                variant,
                f"{1e3 * cpu:.0f}",
                f"{1e3 * wall:.0f}",
                f"{batch / wall:.0f}",
                f"{peak_memory(case, variant):.0f}",
                ratio(seconds[variant], seconds[plain]),
                ratio(seconds[variant], seconds[next(iter(found))]),
            ]
        )
    headers = ["", "CPU ms", "wall ms", "images/s", "peak MB", "to plain", "to the first row"]
    print(f"\n{case}\n\n{table(rows, headers)}", flush=True)


def main():
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    if MEMORY.value:
        step = make_step(CASES.value[0], *variants()[MEMORY.value])
        for _ in range(3):
            step()
        # `getrusage` would start from the memory of the parent.
        status = pathlib.Path("/proc/self/status").read_text()
        print(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024)
        return
    print(f"{hardware()}, TensorFlow {tf.__version__}, {datetime.date.today()}")
    for case in CASES.value:
        measure(case)


if __name__ == "__main__":
    command.run(main)
