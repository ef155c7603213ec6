"""The benchmark of the paper's own network, at a tiny scale: two epochs of two steps, in JAX."""

import csv

import numpy as np
import tensorflow as tf
from examples import ON_JAX, run_script

SCRIPT = """
import sys

# It needs none, where there is one.
sys.modules["tensorflow"] = None
from absl import flags
from benchmarks import paper_scale

flags.FLAGS(["paper_scale", *sys.argv[1:], "--minutes=0"])
paper_scale.main([])
flags.FLAGS.minutes = 1e6
flags.FLAGS.runs = ["dependent-annealed"]
paper_scale.main([])
paper_scale.main([])
"""


def write_pictures(folder):
    rng = np.random.default_rng(0)
    for split, images in (("train", 8), ("test", 1)):
        for label in range(10):
            (folder / split / f"class {label}").mkdir(parents=True)
            for index in range(images):
                pixels = rng.integers(0, 256, (16, 16, 3)).astype("uint8")
                path = folder / split / f"class {label}" / f"{index}.png"
                path.write_bytes(tf.io.encode_png(pixels).numpy())


def test_it_trains_evaluates_and_ends_in_a_row(tmp_path):
    write_pictures(tmp_path / "pictures")
    flags = [f"--images={tmp_path / 'images.npz'}", f"--output_dir={tmp_path / 'out'}"]

    def python(*arguments):
        finished = run_script(*arguments, *flags, environment=ON_JAX)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    python("-m", "benchmarks.paper_scale", f"--pack={tmp_path / 'pictures'}")
    size = ("--network=cifar_resnet8", "--epochs=2", "--batch_size=40")
    lines = python("-c", SCRIPT, *size).splitlines()
    assert lines[0] == "The time is over in epoch 1 of dependent-per_batch."
    # Nothing is trained twice.
    assert [line.split(", ")[0] for line in lines[1:]] == [
        "dependent-annealed: epoch 1 of 2",
        "dependent-annealed: epoch 2 of 2",
    ]
    with (tmp_path / "out" / "paper_scale.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["run"], row["epochs"], row["seed"]) == ("dependent-annealed", "2", "1")
    assert 0 <= float(row["best_stochastic_error"]) <= float(row["stochastic_error"]) <= 100
    assert 0 <= float(row["rate"]) <= 1
