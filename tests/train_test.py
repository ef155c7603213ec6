"""train.py from flags to run folder, on one device and on two replicas, in every precision."""

import csv
import json

import numpy as np
import pytest
from examples import real_images, run_script, store_set

from tfgates.data.datasets import open_dataset
from tfgates.policies import Threshold
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
    # A small step, so that rounding is not amplified.
    flags = ["--gate=none", "--learning_rate=1e-4"]
    flags += ["--recalibration_batches=2", "--recalibration_batch_size=64"]
    _, one = train(tmp_path / "one", *flags, "--strategy=one")
    _, two = train(tmp_path / "two", *flags, "--strategy=mirrored", "--replicas=2")
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
    assert len(json.loads(run.metrics.read_text())["policies"]) == 6


def test_the_validation_accuracy_is_that_of_the_saved_model(tmp_path):
    """30 images are less than an evaluation batch: the rest of it are fillers."""
    encoded, labels = real_images(100)
    bounds = {"train": (0, 60), "validation": (60, 90), "test": (90, 100)}
    splits = {name: (encoded[a:b], labels[a:b]) for name, (a, b) in bounds.items()}
    store_set(tmp_path / "data", splits)
    run, row = train(tmp_path / "run", "--dataset=my_set", f"--data_dir={tmp_path / 'data'}")
    network = run.load_classifier().network
    name, _, preprocessing = run.load_data()
    records = list(open_dataset(name, str(tmp_path / "data")).records("validation"))
    assert len(records) == 30
    images = np.stack([preprocessing(image) for image, _ in records])
    logits, decisions = network(images, policy=Threshold(0.5))
    right = np.argmax(logits, axis=1) == np.array([int(label) for _, label in records])
    assert row["val_accuracy"] == pytest.approx(right.mean())
    assert row["val_rate"] == pytest.approx(np.mean(decisions))


def test_the_strong_recipe_mixes_images_in_mixed_precision(tmp_path):
    """flags/r50_strong.cfg on a small network: RandAugment, CutMix, warm-up, bfloat16."""
    finished = run_script(
        "train.py",
        "--flagfile=flags/r50_strong.cfg",
        "--dataset=fashion_mnist_13k",
        f"--output_dir={tmp_path}/run",
        "--network=cifar_resnet8",
        "--init_from=",
        "--image_size=32",
        "--batch_size=64",
        "--steps_per_epoch=1",
        "--epochs=7",
        "--decay_epochs=6",
        "--recalibration_batches=1",
        "--recalibration_batch_size=64",
    )
    assert finished.returncode == 0, finished.stderr
    with RunFolder(tmp_path / "run").log.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert all(np.isfinite(float(row["loss"])) for row in rows)
    # Shares of classes count as right where the largest is; a validation image has one label.
    assert 0 <= float(rows[-1]["val_accuracy"]) <= 1


def test_seed_zero_and_an_epoch_longer_than_the_data(tmp_path):
    _, row = train(
        tmp_path / "run", "--seed=0", "--batch_size=6000", "--steps_per_epoch=2", "--image_size=8"
    )
    assert np.isfinite(row["loss"])
