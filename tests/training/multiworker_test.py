"""Two workers, processes on this machine, against one: numbers, files, and a worker that dies."""

import contextlib
import csv
import json
import shutil
import signal
import socket
import time

import numpy as np
import pytest
import tensorflow as tf
from examples import own_lines
from processes import Script, forked
from runs_alike import contents, results
from trained import largest_difference, trained_weights

from tfgates.runs.folder import RunFolder

FLAGS = [
    "--gate=none",
    "--image_size=16",
    "--steps_per_epoch=20",
    "--epochs=2",
    "--decay_epochs=1",
    # Small, so that rounding is not amplified.
    "--learning_rate=1e-5",
]
TIMEOUT = 120


def free_addresses():
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(2)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{probe.getsockname()[1]}" for probe in probes]


@contextlib.contextmanager
def pair(*arguments):
    """Two workers of one script on free ports; {index} in its arguments is that of the worker."""
    cluster = {"worker": free_addresses()}
    with contextlib.ExitStack() as stack:
        workers = []
        for index in range(2):
            config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
            script = Script(
                *(text.format(index=index) for text in arguments),
                environment={"TF_CONFIG": config},
            )
            workers.append(stack.enter_context(script))
        yield workers


def training_pair(training, run):
    return pair(*training(run.path, "--strategy=multiworker", *FLAGS))


def finish(workers):
    """Waits for both, checks that they succeeded, and returns what they printed."""
    finished = [worker.finish(TIMEOUT) for worker in workers]
    for worker in finished:
        assert worker.returncode == 0, worker.stderr
    return [worker.stdout for worker in finished]


@pytest.mark.timeout(TIMEOUT)
def test_two_workers_end_with_the_weights_of_one(tmp_path):
    saved = str(tmp_path / "{index}.npz")
    with pair("tests/helpers/worker_of_ten_steps.py", "per_gate", saved) as workers:
        finish(workers)
    weights, log = trained_weights(tf.distribute.get_strategy(), "per_gate")
    for index in range(2):
        with np.load(saved.format(index=index)) as found:
            theirs = [found[f"arr_{i}"] for i in range(len(weights))]
            assert largest_difference(weights, theirs) < 1e-10
            for name in ("loss", "accuracy", "rate", "gate/block_00"):
                np.testing.assert_allclose(found[name], log[name][-1], rtol=1e-6)
            # Its noise is its own, and so is its part in writing.
            assert found["replica"] == index
            assert found["chief"] == (index == 0)
            assert found["agreed"].tolist() == [True, False]


@pytest.fixture(scope="module")
def trained(training, tmp_path_factory):
    """A run of two workers, and what they printed."""
    run = RunFolder(tmp_path_factory.mktemp("trained") / "run")
    with training_pair(training, run) as workers:
        return run, finish(workers)


def rows(run):
    with run.log.open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def files(run):
    """Returns the names of all files of a run folder, those of TensorBoard without their date."""
    return sorted(
        str(path.relative_to(run.path)).partition(".tfevents")[0] for path in run.path.rglob("*")
    )


@pytest.mark.timeout(TIMEOUT)
def test_two_workers_log_what_one_process_logs_and_the_chief_alone_writes(
    trained, training, tmp_path
):
    run, (chief, other) = trained
    one = RunFolder(tmp_path / "one")
    finished = forked(*training(one.path, *FLAGS))
    assert finished.returncode == 0, finished.stderr
    assert len(rows(run)) == 2
    for ours, theirs in zip(rows(run), rows(one), strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            np.testing.assert_allclose(ours[name], value, rtol=1e-4, err_msg=name)
    assert len(files(run)) > 8
    assert files(run) == files(one)
    assert "Epochs 1 to 2." in chief
    assert "Evaluating on 10 test images" in chief
    assert "worker 1 of 2" in other.lower()
    assert len(other.splitlines()) == 1


@pytest.mark.timeout(TIMEOUT)
def test_workers_that_differ_are_refused_and_change_nothing(trained, training, tmp_path):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(trained[0].path, run.path)
    before = contents(run.path)
    with pair(*training(run.path, "--strategy=multiworker", *FLAGS, "--epochs=1{index}")) as both:
        for ended in [worker.finish(TIMEOUT) for worker in both]:
            assert ended.returncode == 2
            assert "error: The workers differ." in own_lines(ended.stderr)[-1]
    assert contents(run.path) == before


@pytest.mark.timeout(2 * TIMEOUT)
def test_a_killed_worker_ends_the_other_and_the_restarted_pair_resumes(trained, training, tmp_path):
    run = RunFolder(tmp_path / "run")
    with training_pair(training, run) as (chief, other):
        deadline = time.monotonic() + TIMEOUT
        while not (run.checkpoints / "epoch-0001.weights.h5").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        other.send_signal(signal.SIGKILL)
        ended = chief.finish(60)
    assert ended.returncode == 2
    line = own_lines(ended.stderr)[-1]
    assert line.startswith("train.py: error: A worker of the cluster is gone")
    assert "again with the same command" in line
    with training_pair(training, run) as workers:
        printed, _ = finish(workers)
    assert "Epochs 2 to 2." in printed
    assert run.log.read_text() == trained[0].log.read_text()
    assert results(run) == results(trained[0])
