"""The files for production, read by the parsers of their formats."""

import re
import subprocess

import pytest
import yaml
from absl import flags
from examples import ROOT, run_script
from serving_fixtures import SERVING, batching, config

COMPOSE = SERVING / "docker-compose.yml"
KUBERNETES = ROOT / "docs/kubernetes/serving.yaml"
# What tensorflow_model_server has and serving/server.py has not.
SERVER_ONLY = {"monitoring_config_file"}


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


def kubernetes():
    """Returns the documents of the manifest by their kinds."""
    return {one["kind"]: one for one in yaml.safe_load_all(KUBERNETES.read_text())}


def containers():
    """Returns image, flags and mounted files of the server, of Docker and of Kubernetes."""
    service = yaml.safe_load(COMPOSE.read_text())["services"]["serving"]
    pod = kubernetes()["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return {
        "docker": (service["image"], service["command"]),
        "kubernetes": (container["image"], container["args"]),
    }


def test_the_descriptor_is_compiled_from_the_proto(tmp_path):
    compiled = tmp_path / "config.binpb"
    # In this process the compiler's protobuf would meet TensorFlow's, and crash.
    arguments = [
        f"-I{ROOT / 'tfgates_server/config'}",
        "--include_imports",
        f"--descriptor_set_out={compiled}",
    ]
    assert run_script("-m", "grpc_tools.protoc", *arguments, "config.proto").returncode == 0
    assert compiled.read_bytes() == (ROOT / "tfgates_server/config/config.binpb").read_bytes()


def test_the_models_are_parsed():
    (one,) = config.models(
        config.read(config.ModelServerConfig, SERVING / "models.config", "model_config_file")
    )
    assert (one.name, one.base_path) == ("gated", "/models/gated")
    assert one.model_version_policy.latest.num_versions == 2
    # A label would name a version that the third export unloads.
    assert dict(one.version_labels) == {}


def test_the_batching_parameters_are_parsed():
    file = SERVING / "batching_parameters.txt"
    parameters = config.read(config.BatchingParameters, file, "batching_parameters_file")
    assert batching.Batching.from_parameters(parameters) == batching.Batching(32, 0.0, 100, 2)


def test_the_monitoring_is_parsed():
    file = SERVING / "monitoring.config"
    monitoring = config.read(config.MonitoringConfig, file, "monitoring_config_file")
    assert monitoring.prometheus_config.enable
    path = monitoring.prometheus_config.path
    pod = kubernetes()["Deployment"]["spec"]["template"]
    assert pod["metadata"]["annotations"]["prometheus.io/path"] == path
    assert path in (SERVING / "smoke.sh").read_text()


@pytest.mark.parametrize("where", ["docker", "kubernetes"])
def test_the_server_starts_with_flags_that_it_has_and_files_that_there_are(where):
    image, arguments = containers()[where]
    assert image == "tensorflow/serving:2.20.0"
    known = set(flags.FLAGS) | SERVER_ONLY
    for argument in arguments:
        name, value = re.fullmatch(r"--(\w+)=(.*)", argument).groups()
        assert name in known
        if value.startswith("/config/"):
            assert (SERVING / value.removeprefix("/config/")).exists()


def test_docker_mounts_what_the_flags_name():
    service = yaml.safe_load(COMPOSE.read_text())["services"]["serving"]
    inside = {mount.rsplit(":", 2)[1] for mount in service["volumes"]}
    named = {path for line in service["command"] for path in re.findall(r"/config/[\w.]+", line)}
    assert inside == named | {"/models/gated"}


def test_kubernetes_selects_and_scales_the_pods_that_it_makes():
    found = kubernetes()
    deployment, scaler = found["Deployment"], found["HorizontalPodAutoscaler"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert found["Service"]["spec"]["selector"] == labels
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    target = scaler["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert 2 <= deployment["spec"]["replicas"] <= scaler["spec"]["maxReplicas"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    ports = {port["containerPort"] for port in container["ports"]}
    assert {port["port"] for port in found["Service"]["spec"]["ports"]} == ports
    assert container["readinessProbe"]["httpGet"]["port"] in ports


@pytest.mark.parametrize("script", ["smoke.sh", "make_tls.sh"])
def test_the_scripts_are_sound_shell(script):
    subprocess.run(["sh", "-n", SERVING / script], check=True)
