"""Saving: identical outputs, optimizer and noise; training goes on bit-identically."""

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import h5py
import keras
import numpy as np
import pytest
from classifier_test import batches, compiled
from examples import (
    PREPROCESSING,
    ROOT,
    own_lines,
    randomize,
    real_images,
    run_script,
    small_network,
)

from tfgates.errors import UserError
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.policies import Expected, Sample, Threshold
from tfgates.run_folder import RunFolder
from tfgates.training import checkpoint
from tfgates.training.schedule import StepDecay

FLAGS = [
    "--network=cifar_resnet8",
    "--batch_size=32",
    "--steps_per_epoch=3",
    "--augment=crop_flip",
    "--learning_rate=0.05",
    "--decay_epochs=2",
    "--weight_decay=5e-4",
]


@pytest.mark.parametrize("gate", ["dependent", "independent", "none"])
def test_a_loaded_classifier_is_identical_and_trains_on_bit_identically(tmp_path, gate):
    classifier = compiled(randomize(small_network(gate)), weight_decay=1e-3, target_rate=0.4)
    classifier.fit(batches(4), verbose=0)
    classifier.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    images = np.random.default_rng(1).random((5, 8, 8, 3), "float32")
    for policy in (Threshold(0.4), Expected(), Sample()):
        for ours, theirs in zip(
            classifier.network(images, policy=policy),
            loaded.network(images, policy=policy),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)
    for one in (classifier, loaded):
        one.fit(batches(5), verbose=0)
    assert int(loaded.optimizer.iterations) == 9
    for ours, theirs in zip(
        classifier.variables + classifier.optimizer.variables,
        loaded.variables + loaded.optimizer.variables,
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


def train(folder, *flags):
    return run_script("train.py", *FLAGS, f"--output_dir={folder}", *flags)


def arrays(path):
    """Returns all data sets of an HDF5 file by name."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update({name: item[()]}) if hasattr(item, "shape") else None
        )
    return found


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """A run of three epochs that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    finished = train(folder, "--epochs=3")
    assert finished.returncode == 0, finished.stderr
    return RunFolder(folder), finished.stdout


def started(run, *flags):
    """Starts train.py and returns its process once the first epoch is finished."""
    process = subprocess.Popen(
        [sys.executable, "train.py", *FLAGS, f"--output_dir={run.path}", *flags],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores interrupts, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not (run.checkpoints / "epoch-0001.weights.h5").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    return process


def test_an_interrupted_run_ends_in_one_line(tmp_path):
    process = started(RunFolder(tmp_path / "run"), "--epochs=1000")
    try:
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert own_lines(stderr)[-1] == "Interrupted. What is finished is kept; train.py resumes."


def test_a_killed_run_resumes_after_its_last_finished_epoch_bit_identically(whole_run, tmp_path):
    whole, _ = whole_run
    broken = RunFolder(tmp_path / "broken")
    process = started(broken, "--epochs=3")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = train(broken.path, "--epochs=3")
    assert finished.returncode == 0, finished.stderr
    assert "Epochs 2 to 3." in finished.stdout or "Epochs 3 to 3." in finished.stdout
    expected = arrays(whole.checkpoints / "epoch-0003.weights.h5")
    resumed = arrays(broken.checkpoints / "epoch-0003.weights.h5")
    assert resumed.keys() == expected.keys()
    for name, values in expected.items():
        if not name.startswith(("_metrics", "gate_rates", "_loss_tracker", "_compile_metrics")):
            np.testing.assert_array_equal(resumed[name], values, err_msg=name)
    for path in ("log.csv", "rates.csv"):
        assert (broken.path / path).read_text() == (whole.path / path).read_text()
    assert broken.metrics.read_text() == whole.metrics.read_text()


def test_a_finished_run_is_evaluated_again_and_another_target_is_refused(whole_run):
    whole, _ = whole_run
    before = whole.metrics.read_text()
    whole.metrics.unlink()
    again = train(whole.path, "--epochs=3")
    assert again.returncode == 0
    assert "is trained, 3 of 3 epochs" in again.stdout
    assert whole.metrics.read_text() == before
    refused = train(whole.path, "--epochs=3", "--target_rate=0.4")
    assert refused.returncode == 2
    (line,) = own_lines(refused.stderr)
    assert "--target_rate=0.5" in line
    assert "--target_rate=0.4" in line
    assert whole.metrics.read_text() == before


def test_the_model_of_a_run_folder_is_its_last_checkpoint(whole_run):
    whole, _ = whole_run
    loaded = whole.load_classifier()
    schedule = StepDecay(0.05, [6])
    restored = compiled(cifar_resnet(8, 10, seed=99, statistics=whole.load_statistics()), schedule)
    assert checkpoint.restore(whole.checkpoints, restored) == 3
    assert int(loaded.optimizer.iterations) == int(restored.optimizer.iterations) == 9
    ours_and_theirs = [
        [*one.network.variables, *(v for v in one.optimizer.variables if "momentum" in v.path)]
        for one in (loaded, restored)
    ]
    assert len(ours_and_theirs[0]) > len(loaded.network.variables)
    for ours, theirs in zip(*ours_and_theirs, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    images = np.stack([PREPROCESSING(image) for image in real_images(8)[0]])
    for policy in (Threshold(), Sample()):
        np.testing.assert_array_equal(
            loaded(images, policy=policy), restored(images, policy=policy)
        )


def test_a_checkpoint_of_another_optimizer_is_refused(whole_run):
    """Keras would warn and go on with an optimizer that starts afresh."""
    whole, _ = whole_run
    with pytest.raises(UserError, match="Skipping variable loading"):
        checkpoint.restore(whole.checkpoints, compiled(cifar_resnet(8, 10)))


def test_a_run_folder_holds_what_the_readme_names(whole_run):
    whole, output = whole_run
    assert whole.flags.read_text().startswith("--dataset=fashion_mnist_13k\n")
    header, *rows = whole.log.read_text().splitlines()
    assert len(rows) == 3
    assert {"epoch", "loss", "accuracy", "target_rate", "rate", "gate_00", "gate_02"} <= set(
        header.split(",")
    )
    assert list(whole.tensorboard.rglob("events.*"))
    metrics = json.loads(whole.metrics.read_text())
    assert metrics["test_images"] == 2000
    assert metrics["ungated_macs"] == 12_501_632
    assert len(metrics["policies"]) == 6
    assert whole.picture.read_bytes().startswith(b"\x89PNG")
    for policy in metrics["policies"]:
        assert f"\n{policy['policy']} " in output
    assert "gate 02" in output


def test_a_run_killed_in_its_first_epoch_starts_over(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.log.write_text("")
    run.rates.write_text("step,gate_00,gate_01,gate_02\n1,0.9,0.9,0.9\n")
    finished = train(run.path, "--epochs=1")
    assert finished.returncode == 0, finished.stderr
    assert len(run.log.read_text().splitlines()) == 2
    assert [row.split(",")[0] for row in run.rates.read_text().split()] == ["step", "1", "2", "3"]


def test_a_lost_model_is_saved_again_and_fewer_epochs_are_refused(whole_run):
    whole, _ = whole_run
    flags = whole.flags.read_text()
    refused = train(whole.path, "--epochs=2")
    assert refused.returncode == 2
    (line,) = own_lines(refused.stderr)
    assert "3 epochs" in line
    assert "--epochs=2" in line
    assert whole.flags.read_text() == flags
    whole.model.unlink()
    whole.rates.rename(whole.path / "away.csv")
    again = train(whole.path, "--epochs=3")
    (whole.path / "away.csv").rename(whole.rates)
    assert again.returncode == 0, again.stderr
    assert whole.load_classifier().network.num_gates == 3
    assert "No picture of the rates" in again.stdout


def test_a_diverged_run_ends_with_its_reason_and_without_a_result(tmp_path):
    run = RunFolder(tmp_path / "run")
    ended = train(run.path, "--epochs=2", "--learning_rate=1e6")
    assert ended.returncode == 2
    (line,) = own_lines(ended.stderr)
    assert "diverged" in line
    assert "--learning_rate" in line
    assert not run.model.exists()
    assert not run.metrics.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"labels": "abcdefghij"},
        {"labels": list(range(10))},
        {"preprocessing": {"size": "32"}},
        {"preprocessing": {"size": 32, "resize": "fit"}},
        {"preprocessing": {}},
        {"mean": [0, 0]},
        {"std": ["a", 1, 1]},
    ],
)
def test_a_damaged_description_of_the_data_is_named(whole_run, tmp_path, change):
    whole, _ = whole_run
    damaged = RunFolder(tmp_path)
    damaged.data.write_text(json.dumps({**json.loads(whole.data.read_text()), **change}))
    with pytest.raises(UserError, match=r"data.json cannot be read"):
        damaged.load_data()


def test_another_model_in_the_run_folder_is_named(tmp_path):
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]).save(tmp_path / "model.keras")
    with pytest.raises(UserError, match="it holds a Sequential"):
        RunFolder(tmp_path).load_classifier()


def test_the_evaluation_tool_repeats_the_table_and_sweeps_the_threshold(whole_run):
    whole, output = whole_run
    before = whole.metrics.read_text()
    tool = ("-m", "tfgates.tools.evaluate", f"--run={whole.path}")
    again = run_script(*tool, "--taus=0.9,0.01,0.5")
    assert again.returncode == 0, again.stderr
    assert whole.metrics.read_text() == before
    table = output[output.index("policy  ") : output.index("Rate of each gate")]
    assert table in again.stdout
    with whole.tau_table.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["tau"] for row in rows] == ["0.01", "0.5", "0.9"]
    rates = [float(row["rate"]) for row in rows]
    assert rates[0] == 1.0
    assert rates == sorted(rates, reverse=True)
    # The validation column of the log is the same threshold on the same images.
    with whole.log.open() as file:
        last = list(csv.DictReader(file))[-1]
    assert 1 - float(rows[1]["top1_error"]) / 100 == pytest.approx(float(last["val_accuracy"]))
    assert rates[1] == pytest.approx(float(last["val_rate"]))
    assert whole.tau_picture.read_bytes().startswith(b"\x89PNG")
    refused = run_script(*tool, "--taus=0.5,1")
    assert refused.returncode == 2
    (line,) = own_lines(refused.stderr)
    assert "--taus" in line
    assert "0.5,1" in line


def test_tools_say_that_the_model_is_older_than_the_training(whole_run, tmp_path, capsys):
    whole, _ = whole_run
    whole.warn_if_unfinished()
    assert capsys.readouterr().out == ""
    shutil.copytree(whole.path, tmp_path / "run")
    extended = RunFolder(tmp_path / "run")
    extended.flags.write_text(whole.flags.read_text().replace("--epochs=3", "--epochs=9"))
    extended.warn_if_unfinished()
    assert "epoch 3 of 9" in capsys.readouterr().out


def test_another_data_set_under_the_same_name_is_refused(whole_run, tmp_path):
    whole, _ = whole_run
    shutil.copytree(whole.path, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    data = json.loads(run.data.read_text())
    data["labels"][3] = "Curtain"
    run.data.write_text(json.dumps(data))
    refused = run_script("-m", "tfgates.tools.evaluate", f"--run={run.path}")
    assert refused.returncode == 2
    (line,) = own_lines(refused.stderr)
    assert "no longer the data set" in line
    assert "Curtain" in line
    resumed = train(run.path, "--epochs=4")
    assert resumed.returncode == 2
    assert "no longer the data set" in own_lines(resumed.stderr)[-1]
    assert json.loads(run.data.read_text()) == data


def test_export_and_demo_of_a_run(whole_run):
    whole, _ = whole_run
    exported = run_script("-m", "tfgates.tools.export", f"--run={whole.path}", "--top_k=3")
    assert exported.returncode == 0, exported.stderr
    assert f"Exported {whole.export / '1'} " in exported.stdout
    shown = run_script("serving/demo.py", f"--run={whole.path}")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    images = sorted((whole.path / "images").iterdir())
    assert len(images) == 8
    answers = [line.split() for line in lines if line.startswith(str(images[0].parent))]
    assert [answer[0] for answer in answers] == [str(path) for path in images]
    assert all(re.fullmatch("[01]{3}", answer[-2]) for answer in answers)
    (address,) = re.findall(r"on 127\.0\.0\.1:(\d+)", shown.stdout)
    assert "Stopped the server." in lines
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(address))) != 0
    assert f'-v "{whole.export}:/models/gated"' in shown.stdout
    assert f"Picture:    {whole.picture}" in lines


def test_a_truncated_checkpoint_is_named(whole_run, tmp_path):
    whole, _ = whole_run
    damaged = RunFolder(tmp_path / "damaged")
    damaged.checkpoints.mkdir(parents=True)
    damaged.flags.write_text(whole.flags.read_text())
    damaged.data.write_text(whole.data.read_text())
    content = (whole.checkpoints / "epoch-0003.weights.h5").read_bytes()
    (damaged.checkpoints / "epoch-0003.weights.h5").write_bytes(content[: len(content) // 2])
    refused = train(damaged.path, "--epochs=4")
    assert refused.returncode == 2
    (line,) = own_lines(refused.stderr)
    assert "epoch-0003.weights.h5" in line
