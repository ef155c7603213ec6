"""Checkpoints: three kills at random steps, the best epoch, damaged files, a full disk."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from classifier_test import batches, compiled
from examples import ROOT, own_lines, run_script, small_network
from saving_test import arrays

from tfgates.errors import UserError
from tfgates.run_folder import RunFolder
from tfgates.training import checkpoint

FLAGS = [
    "--network=cifar_resnet8",
    "--batch_size=32",
    "--steps_per_epoch=5",
    "--epochs=5",
    "--augment=crop_flip",
    "--mix=mixup",
    "--learning_rate=0.05",
    "--warmup_epochs=1",
    "--decay_epochs=3",
    "--keep=best",
    "--recalibration_batches=2",
    "--recalibration_batch_size=64",
    "--deterministic",
]
# Running sums of the metrics are no part of what is trained.
RUNNING = ("_metrics", "gate_rates", "_loss_tracker", "_compile_metrics")


def train(folder, *flags, **options):
    return run_script("train.py", *FLAGS, f"--output_dir={folder}", *flags, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    finished = train(folder)
    assert finished.returncode == 0, finished.stderr
    return RunFolder(folder)


def kill_at(run, step):
    """Starts the run, kills it once its log of rates has passed a step; returns its exit code."""
    process = subprocess.Popen(
        [sys.executable, "train.py", *FLAGS, f"--output_dir={run.path}"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if run.rates.exists() and f"\n{step}," in run.rates.read_text():
            os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.005)
    return process.wait()


def test_a_run_killed_at_three_random_steps_ends_with_identical_weights(whole, tmp_path):
    broken = RunFolder(tmp_path / "broken")
    steps = sorted(random.sample(range(2, 23), 3))
    killed = [kill_at(broken, step) for step in steps]
    assert killed.count(-signal.SIGKILL) >= 2, steps
    finished = train(broken.path)
    assert finished.returncode == 0, finished.stderr
    names = [path.name for path in sorted(whole.checkpoints.iterdir())]
    assert [path.name for path in sorted(broken.checkpoints.iterdir())] == names
    for name in names:
        expected, resumed = (arrays(run.checkpoints / name) for run in (whole, broken))
        assert resumed.keys() == expected.keys()
        for key, values in expected.items():
            if not key.startswith(RUNNING):
                np.testing.assert_array_equal(resumed[key], values, err_msg=f"{steps} {key}")
    for ours, theirs in zip(
        broken.load_classifier().variables, whole.load_classifier().variables, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    for name in ("log.csv", "rates.csv", "metrics.json", "data.json"):
        assert (broken.path / name).read_text() == (whole.path / name).read_text(), (name, steps)


def test_the_best_epoch_is_that_of_the_log(whole):
    rows = whole.log.read_text().splitlines()
    column = rows[0].split(",").index("val_accuracy")
    accuracies = [float(row.split(",")[column]) for row in rows[1:]]
    best = 1 + int(np.argmax(accuracies))
    assert checkpoint.best_epoch(whole.log) == best
    assert list(checkpoint.files(whole.checkpoints, "best")) == [best]
    assert sorted(checkpoint.files(whole.checkpoints)) == [4, 5]


def test_the_kept_model_is_the_best_epoch_recalibrated(whole):
    model, best = whole.load_classifier(), whole.load_classifier()
    ((_, path),) = checkpoint.files(whole.checkpoints, "best").items()
    checkpoint.load(path, best)
    for ours, theirs in zip(model.trainable_variables, best.trainable_variables, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    moments = [
        [weight.numpy() for weight in one.network.weights if "moving" in weight.path]
        for one in (model, best)
    ]
    for ours, theirs in zip(*moments, strict=True):
        assert np.abs(ours - theirs).max() > 1e-4


def test_what_comes_after_training_may_change_and_the_model_is_written_once(whole, tmp_path):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(whole.path, run.path)
    for path in checkpoint.files(run.checkpoints, "best").values():
        path.unlink()
    before = run.model.read_bytes()
    # The best epoch is older than the last two, so its weights are lost with its file.
    if checkpoint.best_epoch(run.log) not in checkpoint.files(run.checkpoints):
        refused = train(run.path)
        assert refused.returncode == 2
        assert "--keep=last" in own_lines(refused.stderr)[-1]
        assert run.model.read_bytes() == before
    finished = train(run.path, "--keep=last", "--recalibration_batches=0")
    assert finished.returncode == 0, finished.stderr
    assert not run.trained.exists()
    last = run.load_classifier()
    checkpoint.load(run.checkpoints / "epoch-0005.weights.h5", last)
    for ours, theirs in zip(run.load_classifier().variables, last.variables, strict=True):
        if not ours.path.startswith(("gate_rates", "loss", "compile")):
            np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


def test_a_second_process_in_the_folder_is_refused(whole):
    other = RunFolder(whole.path)
    other.lock()
    refused = train(whole.path)
    assert refused.returncode == 2
    assert "Another process trains in" in own_lines(refused.stderr)[-1]


def test_a_best_epoch_that_was_not_copied_yet_is(whole, tmp_path):
    """As after a kill between the last checkpoint and its copy."""
    run = RunFolder(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    shutil.copy(whole.checkpoints / "epoch-0005.weights.h5", run.checkpoints)
    (run.checkpoints / "best-0002.weights.h5").write_bytes(b"")
    run.log.write_text("epoch,val_accuracy\n0,0.1\n1,0.2\n4,0.3\n")
    checkpoint.keep_best(run.checkpoints, run.log)
    ((epoch, path),) = checkpoint.files(run.checkpoints, "best").items()
    assert epoch == 5
    assert path.read_bytes() == (whole.checkpoints / "epoch-0005.weights.h5").read_bytes()


def trained(folder, epochs):
    """Trains a small network for some epochs and returns it."""
    log = folder / "log.csv"
    classifier = compiled(small_network())
    classifier.fit(
        batches(2), epochs=epochs, verbose=0, callbacks=[checkpoint.Checkpoint(folder, log)]
    )
    return classifier


def weights(classifier):
    return [
        variable.numpy() for variable in (*classifier.variables, *classifier.optimizer.variables)
    ]


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    os.truncate(path, 0)


def change_one_byte(path):
    """Of an array, where nothing but a checksum tells."""
    arrays_of_file = []
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                arrays_of_file.append(item.id.get_offset())
                if isinstance(item, h5py.Dataset) and item.size > 1000
                else None
            )
        )
    with path.open("r+b") as file:
        file.seek(arrays_of_file[0] + 100)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 255]))


@pytest.mark.parametrize("damage", [truncate, empty, change_one_byte])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, capsys, damage):
    trained(tmp_path, 2)
    paths = checkpoint.files(tmp_path)
    before = compiled(small_network())
    shutil.copy(paths[1], tmp_path / "kept.weights.h5")
    damage(paths[2])
    restored = compiled(small_network())
    assert checkpoint.restore(tmp_path, restored) == 1
    assert "epoch-0002.weights.h5 is damaged: going on from" in capsys.readouterr().out
    checkpoint.load(tmp_path / "kept.weights.h5", before)
    for ours, theirs in zip(weights(restored), weights(before), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_where_no_checkpoint_can_be_read_the_run_is_refused_and_they_stay(tmp_path):
    trained(tmp_path, 2)
    for path in checkpoint.files(tmp_path).values():
        path.write_bytes(b"no checkpoint")
    with pytest.raises(UserError, match=r"Every.*damaged: epoch-0002.*epoch-0001.*--output_dir"):
        checkpoint.restore(tmp_path, compiled(small_network()))
    assert (tmp_path / "epoch-0001.weights.h5").exists()


def test_a_full_disk_ends_the_run_in_one_line_and_keeps_what_was_finished(whole, tmp_path):
    """A limit on the size of files stands in for the disk: TensorFlow's own files are smaller."""
    run = RunFolder(tmp_path / "run")
    shutil.copytree(whole.path, run.path)
    run.model.unlink()
    code = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000,) * 2);"
        f"sys.argv = {['train.py', *FLAGS, f'--output_dir={run.path}', '--epochs=6']};"
        "runpy.run_path('train.py', run_name='__main__')"
    )
    assert (run.checkpoints / "epoch-0005.weights.h5").stat().st_size > 300_000
    ended = run_script("-c", code)
    assert ended.returncode == 2, ended.stderr
    line = own_lines(ended.stderr)[-1]
    assert "Cannot write the checkpoint" in line
    assert "make room" in line
    assert sorted(checkpoint.files(run.checkpoints)) == [4, 5]
    assert not list(run.checkpoints.glob("unfinished-*"))
    finished = train(run.path, "--epochs=6")
    assert finished.returncode == 0, finished.stderr
    assert "Epochs 6 to 6." in finished.stdout
