"""Checkpoints: three kills at random steps, the best epoch, a full disk."""

import shutil
import signal
import time

import numpy as np
import pytest
from chance import drawn
from examples import own_lines, run_script
from processes import Script, forked
from runs_alike import assert_trained_alike, contents

from tfgates.base.lock import locked
from tfgates.runs.folder import RunFolder
from tfgates.training import checkpoint

OWN_FLAGS = [
    "--steps_per_epoch=5",
    "--epochs=5",
    "--mix=mixup",
    "--warmup_epochs=1",
    "--target_weight=auto",
    "--decay_epochs=3",
    "--keep=best",
    "--recalibration_batches=2",
    "--recalibration_batch_size=64",
    "--deterministic",
]


@pytest.fixture(scope="module")
def flags(whole_run):
    """The flags of the runs, whose teacher is a run of its own."""
    return [*OWN_FLAGS, f"--teacher=run:{whole_run[0].path}"]


@pytest.fixture(scope="module")
def whole(training, flags, tmp_path_factory):
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    finished = forked(*training(folder, *flags))
    assert finished.returncode == 0, finished.stderr
    return RunFolder(folder)


def kill_at(run, step, arguments):
    """Starts the run, kills it once its log of rates has passed a step; returns its exit code."""
    with Script(*arguments) as script:
        deadline = time.monotonic() + 120
        while script.running() and time.monotonic() < deadline:
            if run.rates.exists() and f"\n{step}," in run.rates.read_text():
                script.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        return script.finish().returncode


def test_a_run_killed_at_three_random_steps_ends_with_identical_weights(
    whole, training, flags, tmp_path
):
    broken = RunFolder(tmp_path / "broken")
    arguments = training(broken.path, *flags)
    steps = sorted(drawn().sample(range(2, 23), 3))
    print(f"Killed at steps {steps}.")
    killed = [kill_at(broken, step, arguments) for step in steps]
    assert killed.count(-signal.SIGKILL) >= 2, steps
    finished = forked(*arguments)
    assert finished.returncode == 0, finished.stderr
    assert_trained_alike(broken, whole)


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


def test_what_comes_after_training_may_change_and_the_model_is_written_once(
    whole, training, flags, tmp_path
):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(whole.path, run.path)
    for path in checkpoint.files(run.checkpoints, "best").values():
        path.unlink()
    # The best epoch is older than the last two, so its weights are lost with its file.
    run.log.write_text("epoch,val_accuracy\n0,0.2\n4,0.1\n")
    before = contents(run.path)
    refused = forked(*training(run.path, *flags))
    assert refused.returncode == 2
    assert "--keep=last" in own_lines(refused.stderr)[-1]
    assert contents(run.path) == before
    finished = forked(*training(run.path, *flags, "--keep=last", "--recalibration_batches=0"))
    assert finished.returncode == 0, finished.stderr
    assert not run.trained.exists()
    last = run.load_classifier()
    checkpoint.load(run.checkpoints / "epoch-0005.weights.h5", last)
    for ours, theirs in zip(run.load_classifier().variables, last.variables, strict=True):
        if not ours.path.startswith(("gate_rates", "loss", "compile")):
            np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


def test_a_second_process_in_the_folder_is_refused(whole, training, flags):
    with locked(whole.path):
        refused = forked(*training(whole.path, *flags))
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


def test_a_full_disk_ends_the_run_in_one_line_and_keeps_what_was_finished(
    whole, training, flags, tmp_path
):
    """A limit on the size of files stands in for the disk: TensorFlow's own files are smaller."""
    run = RunFolder(tmp_path / "run")
    shutil.copytree(whole.path, run.path)
    run.model.unlink()
    code = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000,) * 2);"
        f"sys.argv = {training(run.path, *flags, '--epochs=6')};"
        "runpy.run_path('train.py', run_name='__main__')"
    )
    assert (run.checkpoints / "epoch-0005.weights.h5").stat().st_size > 300_000
    ended = run_script("-c", code)
    assert ended.returncode == 2, ended.stderr
    # HDF5 may say more, where it is the closing of the file that fails.
    (line,) = [one for one in own_lines(ended.stderr) if "Cannot write the checkpoint" in one]
    assert "make room" in line
    assert sorted(checkpoint.files(run.checkpoints)) == [4, 5]
    assert not list(run.checkpoints.glob("unfinished-*"))
    finished = forked(*training(run.path, *flags, "--epochs=6"))
    assert finished.returncode == 0, finished.stderr
    assert "Epochs 6 to 6." in finished.stdout
