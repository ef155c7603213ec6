"""Two workers, processes on this machine, against one: numbers, files, and a worker that dies."""

import contextlib
import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
import yaml
from classifier_test import largest_difference, trained_weights
from examples import PREPROCESSING, ROOT, own_lines, real_images, run_script, store_set

from tfgates.data import batches
from tfgates.data.augment import Augmentation
from tfgates.data.datasets import open_dataset
from tfgates.errors import UserError
from tfgates.run_folder import RunFolder
from tfgates.training.cluster import EXAMPLE, read_cluster
from tfgates.training.strategy import make_strategy

FLAGS = [
    "--dataset=my_set",
    "--network=cifar_resnet8",
    "--gate=none",
    "--image_size=16",
    "--batch_size=32",
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


class Pair:
    """Two workers of one script on free ports, which end with the block at the latest."""

    def __init__(self, folder, *arguments):
        folder.mkdir()
        self.outputs = [folder / f"{index}.txt" for index in range(2)]
        self.errors = [folder / f"{index}.err" for index in range(2)]
        self.arguments = [str(argument) for argument in arguments]

    def __enter__(self):
        cluster = {"worker": free_addresses()}
        self.processes = []
        for index in range(2):
            task = {"type": "worker", "index": index}
            config = json.dumps({"cluster": cluster, "task": task})
            with self.outputs[index].open("w") as out, self.errors[index].open("w") as err:
                self.processes.append(
                    subprocess.Popen(
                        [sys.executable, *(text.format(index=index) for text in self.arguments)],
                        cwd=ROOT,
                        env={**os.environ, "TF_CONFIG": config},
                        stdout=out,
                        stderr=err,
                    )
                )
        return self

    def __exit__(self, *unused):
        for process in self.processes:
            process.kill()
            process.wait()

    def finish(self):
        """Waits for both, checks that they succeeded, and returns what they printed."""
        for process, error in zip(self.processes, self.errors, strict=True):
            assert process.wait(TIMEOUT) == 0, error.read_text()
        return [output.read_text() for output in self.outputs]


@pytest.mark.timeout(TIMEOUT)
def test_two_workers_end_with_the_weights_of_one(tmp_path):
    saved = str(tmp_path / "{index}.npz")
    with Pair(tmp_path / "pair", "tests/worker_of_ten_steps.py", "per_gate", saved) as pair:
        pair.finish()
    weights, log = trained_weights(tf.distribute.get_strategy(), "per_gate")
    for index in range(2):
        with np.load(saved.format(index=index)) as found:
            theirs = [found[f"arr_{i}"] for i in range(len(weights))]
            assert largest_difference(weights, theirs) < 1e-10
            for name in ("loss", "accuracy", "rate", "gate_00"):
                np.testing.assert_allclose(found[name], log[name][-1], rtol=1e-6)
            # Its noise is its own, and so is its part in writing.
            assert found["replica"] == index
            assert found["chief"] == (index == 0)
            assert found["agreed"].tolist() == [True, False]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A small set, so that an evaluation batch has fillers."""
    folder = tmp_path_factory.mktemp("data")
    encoded, labels = real_images(300)
    bounds = {"train": (0, 200), "validation": (200, 290), "test": (290, 300)}
    store_set(folder, {name: (encoded[a:b], labels[a:b]) for name, (a, b) in bounds.items()})
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run of two workers, and what they printed."""
    folder = tmp_path_factory.mktemp("trained")
    with training_pair(folder / "pair", data, folder / "run") as pair:
        return RunFolder(folder / "run"), pair.finish()


def training_pair(folder, data, run):
    return Pair(folder, "train.py", "--strategy=multiworker", *FLAGS, *paths(data, run))


def paths(data, run):
    return f"--data_dir={data}", f"--output_dir={run}"


def rows(run):
    with run.log.open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def files(run):
    """Returns the names of all files of a run folder, those of TensorBoard without their date."""
    return sorted(
        str(path.relative_to(run.path)).partition(".tfevents")[0] for path in run.path.rglob("*")
    )


@pytest.mark.timeout(TIMEOUT)
def test_two_workers_log_what_one_process_logs_and_the_chief_alone_writes(trained, data, tmp_path):
    run, (chief, other) = trained
    finished = run_script("train.py", *FLAGS, *paths(data, tmp_path / "one"))
    assert finished.returncode == 0, finished.stderr
    one = RunFolder(tmp_path / "one")
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


@pytest.mark.timeout(2 * TIMEOUT)
def test_a_killed_worker_ends_the_other_and_the_restarted_pair_resumes(trained, data, tmp_path):
    run = RunFolder(tmp_path / "run")
    with training_pair(tmp_path / "killed", data, run.path) as pair:
        deadline = time.monotonic() + TIMEOUT
        while not (run.checkpoints / "epoch-0001.weights.h5").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        pair.processes[1].send_signal(signal.SIGKILL)
        assert pair.processes[0].wait(60) == 2
    line = own_lines(pair.errors[0].read_text())[-1]
    assert line.startswith("train.py: error: A worker of the cluster is gone")
    assert "again with the same command" in line
    with training_pair(tmp_path / "restarted", data, run.path) as pair:
        chief, _ = pair.finish()
    assert "Epochs 2 to 2." in chief
    assert run.log.read_text() == trained[0].log.read_text()
    assert run.metrics.read_text() == trained[0].metrics.read_text()


def whole_again(parts):
    """Puts batches of the shares of two workers together, image by image in turn."""
    of_workers = [[np.concatenate(pieces) for pieces in zip(*part, strict=True)] for part in parts]
    return [
        np.stack(values, axis=1).reshape(-1, *values[0].shape[1:])
        for values in zip(*of_workers, strict=True)
    ]


@pytest.mark.parametrize(("replicas", "mix"), [(2, "none"), (4, "none"), (4, "mixup")])
def test_the_shares_of_two_workers_are_the_batches_of_one_process(data, replicas, mix):
    dataset = open_dataset("my_set", str(data))
    shares = [tf.distribute.InputContext(2, index, replicas) for index in range(2)]

    def training(share):
        return batches.training_batches(
            dataset,
            PREPROCESSING,
            Augmentation("crop_flip", mix=mix),
            batch_size=32,
            steps_per_epoch=2,
            seed=3,
            first_epoch=0,
            epochs=2,
            share=share,
        )

    def validation(share):
        return batches.evaluation_batches(dataset, "validation", PREPROCESSING, 48, share=share)

    for make in (training, validation):
        whole = list(make(batches.WHOLE).as_numpy_iterator())
        parts = [list(make(share).as_numpy_iterator()) for share in shares]
        pieces = replicas // 2
        assert [len(part) for part in parts] == [len(whole) * pieces] * 2
        for step, batch in enumerate(whole):
            found = whole_again([part[step * pieces : (step + 1) * pieces] for part in parts])
            for ours, theirs in zip(found, batch, strict=True):
                np.testing.assert_array_equal(ours, theirs)


def test_an_evaluation_batch_that_replicas_do_not_divide_is_rounded_up(data):
    dataset = open_dataset("my_set", str(data))
    share = tf.distribute.InputContext(num_replicas_in_sync=3)
    found = batches.evaluation_batches(dataset, "validation", PREPROCESSING, 50, share=share)
    sizes_and_images = [
        (len(labels), sum(weights)) for _, labels, weights in found.as_numpy_iterator()
    ]
    assert sizes_and_images == [(17, 17)] * 5 + [(17, 5)]


@pytest.mark.parametrize("index", [0, 1])
def test_the_pods_of_the_kubernetes_job_are_a_cluster(tmp_path, index):
    service, job = yaml.safe_load_all((ROOT / "docs/kubernetes/train-job.yaml").read_text())
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    name, domain = job["metadata"]["name"], service["metadata"]["name"]
    assert service["spec"]["selector"] == {"job-name": name}
    assert pod["subdomain"] == domain
    (container,) = pod["containers"]
    (workers,) = [int(variable["value"]) for variable in container["env"]]
    assert spec["completions"] == spec["parallelism"] == workers
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$TF_CONFIG"\necho "$@"\n')
    python.chmod(0o755)
    environment = {"WORKERS": str(workers), "JOB_COMPLETION_INDEX": str(index)}
    config, command = subprocess.run(
        [*container["command"], *container["args"]],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    port = container["ports"][0]["containerPort"]
    hosts = [f"{name}-{i}.{domain}:{port}" for i in range(workers)]
    assert read_cluster(config) == (hosts, index)
    assert command.startswith("train.py --strategy=multiworker --flagfile=flags/demo.cfg")


def test_the_example_of_the_errors_is_good():
    assert read_cluster(EXAMPLE) == (["host0:2222", "host1:2222"], 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda config: "", "nothing"),
        (lambda config: config[:-1], "is JSON"),
        (lambda config: "[1]", 'is JSON.*"task".*1'),
        (lambda config: re.sub("worker", "ps", config, count=1), 'no job but "worker".*ps'),
        (lambda config: config.replace('"cluster": {', '"cluster": {"evaluator": ["a:1"], '), "ev"),
        (lambda config: re.sub(r"\[.*\]", "[]", config), r"two workers.*\[\]"),
        (lambda config: config.replace("host1", "host0"), "each once.*host0"),
        (lambda config: config.replace("host1:2222", "host1"), "host:port.*host1"),
        (lambda config: re.sub(r"\[.*\]", "7", config), "host:port.*7"),
        (lambda config: config.replace('"index": 0', '"index": 2'), "0 to 1.*2"),
        (lambda config: config.replace('"index": 0', '"index": "0"'), "0 to 1.*0"),
        (lambda config: config.replace('"type": "worker", ', ""), '"type" "worker".*None'),
        (lambda config: config.replace('"task"', '"tusk"'), "is JSON.*tusk"),
    ],
)
def test_a_bad_tf_config_is_named(monkeypatch, change, words):
    monkeypatch.setenv("TF_CONFIG", change(EXAMPLE))
    with pytest.raises(UserError, match=f"TF_CONFIG.*{words}.*--strategy=mirrored") as error:
        make_strategy("multiworker")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("parameter_server", "without waiting"),
        ("ParameterServerStrategy", "without waiting"),
        ("tpu", "claims nothing"),
        ("central_storage", "mirrored"),
        ("keras.distribution", "does nothing"),
        ("no_such", ""),
    ],
)
def test_other_strategies_are_refused_with_the_reason(name, reason):
    with pytest.raises(UserError, match=f"mirrored or multiworker. Received: {name}.*{reason}"):
        make_strategy(name)


def test_replicas_are_those_of_mirrored():
    with pytest.raises(UserError, match="Received: --replicas=2"):
        make_strategy("multiworker", 2)
