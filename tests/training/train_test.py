"""train.py from flags to run folder, on one device and on two replicas, in every precision."""

import csv
import json
import re

import numpy as np
import pytest
from processes import forked

from tfgates.data.datasets import open_dataset
from tfgates.policies import Threshold
from tfgates.runs.folder import RunFolder


@pytest.fixture
def train(training, tmp_path):
    """Function (name, *flags) -> a run of one epoch, and its row of the log."""

    def run_and_row(name, *flags):
        run = RunFolder(tmp_path / name)
        finished = forked(*training(run.path, "--epochs=1", *flags))
        assert finished.returncode == 0, finished.stderr
        with run.log.open() as file:
            (row,) = csv.DictReader(file)
        return run, {name: float(value) for name, value in row.items()}

    return run_and_row


def test_two_replicas_log_what_one_logs(train):
    """Without gates there is no noise, so only rounding differs."""
    # A small step, so that rounding is not amplified.
    flags = ["--gate=none", "--learning_rate=1e-4"]
    flags += ["--recalibration_batches=2", "--recalibration_batch_size=64"]
    _, one = train("one", *flags, "--strategy=one")
    _, two = train("two", *flags, "--strategy=mirrored", "--replicas=2")
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-4, err_msg=name)
    assert one["rate"] == two["rate"] == 1.0


def test_mixed_precision(train):
    """Of float16, whose loss is scaled; bfloat16 is that of the strong recipe."""
    run, row = train("run", "--precision=mixed_float16", "--gate=independent", "--image_size=16")
    assert all(np.isfinite(list(row.values())))
    assert 0.9 < row["rate"] <= 1.0
    assert run.load_classifier().network.get_layer("classifier").compute_dtype == "float32"
    assert len(json.loads(run.metrics.read_text())["policies"]) == 6


def test_the_validation_accuracy_is_that_of_the_saved_model(train, small_set):
    """The share of one of the replicas has a filler."""
    run, row = train("run", "--strategy=mirrored", "--replicas=2")
    network = run.load_classifier().network
    name, _, preprocessing = run.load_data()
    records = list(open_dataset(name, str(small_set)).records("validation"))
    assert len(records) % 2 == 1
    images = np.stack([preprocessing(image) for image, _ in records])
    outputs = network(images, policy=Threshold(0.5))
    right = np.argmax(outputs["logits"], axis=1) == np.array([int(label) for _, label in records])
    assert row["val_accuracy"] == pytest.approx(right.mean())
    assert row["val_rate"] == pytest.approx(np.mean(outputs["decisions"]))


def test_the_strong_recipe_mixes_images_in_mixed_precision(training, tmp_path):
    """flags/r50_strong.cfg on a small network: RandAugment, CutMix, warm-up, bfloat16."""
    run = RunFolder(tmp_path / "run")
    script, *flags = training(
        run.path,
        "--init_from=",
        "--image_size=32",
        "--steps_per_epoch=1",
        "--epochs=7",
        "--decay_epochs=6",
        "--recalibration_batches=1",
        "--recalibration_batch_size=64",
        "--calibrate",
    )
    finished = forked(script, "--flagfile=flags/r50_strong.cfg", *flags)
    assert finished.returncode == 0, finished.stderr
    assert re.search(r"Calibrated: [+-]\d\.\d+ on all .* of a target of 0\.5\.", finished.stdout)
    with run.log.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert all(np.isfinite(float(row["loss"])) for row in rows)
    # Shares of classes count as right where the largest is; a validation image has one label.
    assert 0 <= float(rows[-1]["val_accuracy"]) <= 1
    assert run.load_classifier().network.get_layer("classifier").compute_dtype == "float32"
    assert len(json.loads(run.metrics.read_text())["policies"]) == 6


def test_seed_zero_and_an_epoch_longer_than_the_data(train):
    _, row = train("run", "--seed=0", "--batch_size=150", "--steps_per_epoch=2", "--image_size=8")
    assert np.isfinite(row["loss"])
