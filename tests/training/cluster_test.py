"""TF_CONFIG and the Kubernetes job that makes it; strategies that are refused."""

import os
import re
import subprocess

import pytest
import yaml
from examples import ROOT

from tfgates.base.errors import UserError
from tfgates.training.cluster import EXAMPLE, read_cluster
from tfgates.training.strategy import make_strategy


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
