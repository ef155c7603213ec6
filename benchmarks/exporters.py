"""Two exports of one network beside each other, as those of two versions of tfgates.

    python -m benchmarks.exporters --before=/tmp/before/resnet50 --after=/tmp/after/resnet50
    python -m benchmarks.exporters --before=... --after=... --batches=1 --threads=wide

Either folder was written by `benchmarks.graphs.Graphs(...).skipping(...)`, in a checkout of its
version. Both compute the same decisions, drawn anew at each call; every row is the ratio of process
CPU time, median and quartiles over the rounds, in which the two take turns.
"""

import datetime

import absl.logging
import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks import checks
from tfgates.base import command
from tfgates.base.timing import hardware, interleaved, ratio, table
from tfgates.export.timing import SIDE_BY_SIDE, WIDE, Served

BEFORE = flags.DEFINE_string("before", None, "SavedModel of the one version.", required=True)
AFTER = flags.DEFINE_string("after", None, "SavedModel of the other one.", required=True)
BATCHES = flags.DEFINE_list("batches", ["1", "8"], "Images in a call.")
checks.are_numbers("batches", 0, 1024, "1,8")
RATES = flags.DEFINE_list("rates", ["0.4", "0.6", "1"], "Shares of the gates that are open.")
checks.are_numbers("rates", 0, 1, "0.4,1")
THREADS = {"side_by_side": SIDE_BY_SIDE, "wide": WIDE}
KIND = flags.DEFINE_enum(
    "threads", "side_by_side", list(THREADS), "Of operations side by side, or within one."
)
ROUNDS = flags.DEFINE_integer("rounds", 25, "Rounds of the interleaved run.", lower_bound=1)

OPEN, CLOSED = -1e9, 1e9


def shapes(path):
    """Returns the shape of an image and the number of gates of such an export."""
    signature = tf.saved_model.load(path).signatures["serving_default"]
    specs = signature.structured_input_signature[1]
    return specs["images"].shape[1:], specs["log_odds"].shape[1]


def on_the_same(served, rate, batch):
    """Returns a function without arguments: a call with the next images and decisions.

    Args:
        served: `Served`, of which every instance meets the same ones.
        rate: share of the gates that are open.
        batch: number of images.
    """
    shape, gates = shapes(BEFORE.value)
    rng = np.random.default_rng(3)
    images = 255 * rng.random((batch, *shape), "float32")
    odds = np.full(batch * gates, CLOSED, "float32")
    odds[: round(rate * odds.size)] = OPEN

    def call():
        return served(images=images, log_odds=rng.permutation(odds).reshape(batch, gates))

    return call


def main():
    absl.logging.set_verbosity("error")
    print(f"{hardware()}, TensorFlow {tf.__version__}, {datetime.date.today()}\n")
    paths = {"before": BEFORE.value, "after": AFTER.value}
    served = {name: Served(path, THREADS[KIND.value]) for name, path in paths.items()}
    rows = []
    for batch in map(int, BATCHES.value):
        for rate in map(float, RATES.value):
            runs = {name: on_the_same(one, rate, batch) for name, one in served.items()}
            seconds = interleaved(runs, ROUNDS.value, 1)
            times = [f"{1e3 * np.median(seconds[name][:, 0]) / batch:.2f}" for name in paths]
            rows.append([batch, rate, *times, ratio(seconds["after"], seconds["before"])])
    headers = ["batch", "rate", "before: CPU ms an image", "after", "after to before"]
    print(table(rows, headers))


if __name__ == "__main__":
    command.run(main)
