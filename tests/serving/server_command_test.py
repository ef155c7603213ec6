"""serving/server.py as its users run it: flags and files in, answers and exit codes out."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import grpc
import pytest
from absl import flags
from absl.testing import flagsaver
from examples import ROOT, needs_bfloat16, own_lines
from processes import forked
from serving_fixtures import (
    SERVING,
    Queue,
    arrays,
    assert_same,
    batching,
    jpegs,
    predict,
    server,
    spec,
)
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tfgates.base.errors import UserError

pytest_plugins = ["serving_fixtures"]

options = server.options


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """A folder with certificates and an ssl.config."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["sh", SERVING / "make_tls.sh", folder, "DNS:localhost,IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )
    return folder


@contextlib.contextmanager
def started(*flags):
    """Runs the script while the block runs; gives the process and its first line."""
    process = subprocess.Popen(
        [sys.executable, SERVING / "server.py", "--port=0", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def wait_for_line(process, pattern):
    for line in process.stdout:
        if re.fullmatch(pattern, line.strip()):
            return
    raise AssertionError(f"There is no line {pattern}.")


def test_the_script_serves_and_swaps_until_it_is_told_to_end(version, tmp_path):
    shutil.copytree(version, tmp_path / "1")
    flags = [f"--model_base_path={tmp_path}", "--model_name=other", "--mixed_precision="]
    with started(*flags) as (process, line):
        found = re.fullmatch(r"Serving other, version 1, on (127\.0\.0\.1:\d+)\n", line)
        assert found, line
        with grpc.insecure_channel(found[1]) as channel:
            status = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus
            request = GetModelStatusRequest(model_spec=ModelSpec(name="other"))
            assert status(request, timeout=60).model_version_status[0].version == 1
            shutil.copytree(version, tmp_path / ".tmp-2")
            (tmp_path / ".tmp-2").rename(tmp_path / "2")
            wait_for_line(process, "other, version 2: AVAILABLE")
            wait_for_line(process, "other, version 1: END")
            # What is in flight is finished.
            many = predict(image_bytes=jpegs(1) * 1000)
            many.model_spec.name = "other"
            begun = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict.future(many)
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            assert len(arrays(begun.result())["status"]) == 1000
        # A stop that hangs says where, and ends by itself; then it is here to be read.
        told, errors = process.communicate(timeout=60)
        assert (told, process.returncode) == ("Stopped.\n", 0), errors


def test_the_files_for_production_are_served_with_tls(version, tmp_path, tls, ask):
    models = (SERVING / "models.config").read_text().replace("/models/gated", str(version.parent))
    models = models.replace("# version_labels", "version_labels")
    (tmp_path / "models.config").write_text(models)
    flags = [
        f"--model_config_file={tmp_path / 'models.config'}",
        "--model_config_file_poll_wait_seconds=1",
        "--enable_batching=true",
        f"--batching_parameters_file={SERVING / 'batching_parameters.txt'}",
        f"--ssl_config_file={tls / 'ssl.config'}",
        "--max_images_per_request=8",
    ]
    authority, key, own = (
        (tls / name).read_bytes() for name in ("ca.pem", "client-key.pem", "client.pem")
    )
    with started(*flags) as (process, line):
        address = re.fullmatch(r"Serving gated, version 1, on (\S+)\n", line)[1]
        known = grpc.ssl_channel_credentials(authority, key, own)
        with grpc.secure_channel(address, known) as channel:
            call = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
            request = predict(image_bytes=jpegs(8))
            request.model_spec.CopyFrom(spec(version_label="stable"))
            answer = arrays(call(request, timeout=60))
            assert_same(answer, ask("serving_default", image_bytes=jpegs(8)))
            with pytest.raises(grpc.RpcError, match="--max_images_per_request=8 images"):
                call(predict(image_bytes=jpegs(9)), timeout=60)
        unknown = grpc.ssl_channel_credentials(authority)
        with grpc.secure_channel(address, unknown) as channel:
            call = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
            with pytest.raises(grpc.RpcError) as refused:
                call(request, timeout=60)
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        # A second model comes with the file, while the server runs.
        more = re.search(r"  config \{.*?\n  \}\n", models, re.DOTALL)[0].replace(
            '"gated"', '"more"'
        )
        (tmp_path / "models.config").write_text(models.rstrip().removesuffix("}") + more + "}\n")
        wait_for_line(process, "more, version 1: AVAILABLE")


def test_the_second_signal_ends_the_process():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        server.wait_for_signal()
        assert {signal.getsignal(number) for number in before} == {signal.SIG_DFL}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_an_unsound_certificate_is_refused():
    broken = options.config.SSLConfig(
        server_key="-----BEGIN PRIVATE KEY-----", server_cert="-----BEGIN CERTIFICATE-----"
    )
    queue = Queue(batching.Batching(threads=1))
    with pytest.raises(UserError, match=r"^--ssl_config_file holds a server_key.* is not one"):
        server.Server(None, None, queue, credentials=options.config.credentials(broken))


def test_the_script_refuses_a_bad_folder_in_one_line(tmp_path):
    finished = forked(SERVING / "server.py", f"--model_base_path={tmp_path}", "--port=0")
    (line,) = own_lines(finished.stderr)
    assert line.startswith(f"server.py: error: {tmp_path} holds no model version")
    assert (finished.returncode, finished.stdout) == (2, "")


@contextlib.contextmanager
def flags_set(**values):
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(**values):
        yield


def test_a_model_is_asked_for():
    with flags_set(), pytest.raises(UserError, match="no model to serve"):
        options.model_configs()


CONFIGS = {
    "no file": (None, "cannot be read"),
    "no text format": ("model_config_list [", "is no ModelServerConfig in text format: line 1:"),
    "unknown field": ("model_config_list { configs {} }", 'no field named "configs"'),
    "no model": ("", "at least one config"),
    "no base_path": ('model_config_list { config { name: "a" } }', "a name and a base_path"),
    "twice": (
        "model_config_list {"
        + 2 * 'config { name: "a" base_path: "/a" model_platform: "tensorflow" }'
        + "}",
        "Received twice: a",
    ),
    "platform": (
        'model_config_list { config { name: "a" base_path: "/a" model_platform: "torch" } }',
        'model_platform of a is "tensorflow". Received: "torch"',
    ),
    "no versions": (
        'model_config_list { config { name: "a" base_path: "/a" model_platform: "tensorflow" '
        "model_version_policy { specific {} } } }",
        "specific of a names versions",
    ),
}


@pytest.mark.parametrize(("text", "message"), CONFIGS.values(), ids=CONFIGS)
def test_bad_models_are_refused_in_one_line(tmp_path, text, message):
    file = tmp_path / "models.config"
    if text is not None:
        file.write_text(text)
    with flags_set(model_config_file=str(file)), pytest.raises(UserError) as refused:
        options.model_configs()
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_who_wants_rest_is_told_where_it_is():
    with pytest.raises(flags.IllegalFlagValueError, match="has the docker command"):
        flags.FLAGS.rest_api_port = 8501


def test_batching_parameters_ask_for_batching():
    with flags_set(batching_parameters_file="a.txt"), pytest.raises(UserError, match="both or"):
        options.batching()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('server_key: "key.pem" server_cert: "cert.pem"', "server_key .* is the text of a PEM"),
        ("server_key", "is no SSLConfig in text format"),
    ],
)
def test_a_bad_ssl_config_is_refused(tmp_path, text, message):
    file = tmp_path / "ssl.config"
    file.write_text(text)
    with flags_set(ssl_config_file=str(file)), pytest.raises(UserError, match=message):
        options.credentials()


def test_clients_are_verified_by_somebody(tls, tmp_path):
    text = (tls / "ssl.config").read_text()
    (tmp_path / "ssl.config").write_text(re.sub(r"custom_ca:\n( .*\n)+", "", text))
    with (
        flags_set(ssl_config_file=str(tmp_path / "ssl.config")),
        pytest.raises(UserError, match="needs custom_ca"),
    ):
        options.credentials()


@needs_bfloat16
def test_convolutions_compute_in_bfloat16_where_that_is_asked_for(version, ask):
    with flags_set(mixed_precision="bfloat16"):
        mixed = server.Model("gated", version, options.session())
    answer = mixed.run("serving_default", {"image_bytes": jpegs(8)})
    exact = ask("serving_default", image_bytes=jpegs(8))
    difference = abs(answer["scores"] - exact["scores"]).max()
    assert 1e-5 < difference < 0.2
