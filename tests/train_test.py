"""train.py from flags to run folder, on one device and on two replicas, in every precision."""

import csv
import json

import numpy as np
import pytest
from examples import run_script

from tfgates.run_folder import RunFolder

FLAGS = [
    "--network=cifar_resnet8",
    "--batch_size=32",
    "--steps_per_epoch=3",
    "--epochs=1",
    "--decay_epochs=1",
    "--learning_rate=0.02",
]


def train(folder, *flags):
    finished = run_script("train.py", *FLAGS, f"--output_dir={folder}", *flags)
    assert finished.returncode == 0, finished.stderr
    run = RunFolder(folder)
    with run.log.open() as file:
        (row,) = csv.DictReader(file)
    return run, {name: float(value) for name, value in row.items()}


def test_two_replicas_log_what_one_logs(tmp_path):
    """Without gates there is no noise, so only rounding differs."""
    _, one = train(tmp_path / "one", "--gate=none", "--strategy=one")
    _, two = train(tmp_path / "two", "--gate=none", "--strategy=mirrored", "--replicas=2")
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-4, err_msg=name)
    assert one["rate"] == two["rate"] == 1.0


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(tmp_path, precision):
    run, row = train(tmp_path / "run", f"--precision={precision}", "--gate=independent")
    assert all(np.isfinite(list(row.values())))
    assert 0.9 < row["rate"] <= 1.0
    assert run.load_classifier().network.head.layers[-1].compute_dtype == "float32"
    assert len(json.loads(run.metrics.read_text())["policies"]) == 5


def test_seed_zero_and_an_epoch_longer_than_the_data(tmp_path):
    _, row = train(
        tmp_path / "run", "--seed=0", "--batch_size=6000", "--steps_per_epoch=2", "--image_size=8"
    )
    assert np.isfinite(row["loss"])
