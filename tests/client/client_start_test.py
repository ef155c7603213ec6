"""How the command of the client starts, and what it says when it cannot do its work."""

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig

import grpc
import numpy as np
import pytest
from examples import ROOT, run_script
from stub_server import CLIENT, echo, in_turn, refuse, run_client, stub_server

pytest_plugins = ["serving_fixtures", "stub_server"]

Code = grpc.StatusCode


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


def assert_fails_in_one_line(finished, *parts):
    (line,) = finished.stderr.splitlines()
    assert line.startswith("client.py: error: ")
    for part in parts:
        assert part in line
    assert (finished.returncode, finished.stdout) == (2, "")


def test_no_images_are_an_error(tmp_path):
    for places in ([], [tmp_path]):
        finished = run_client("127.0.0.1:1", *places)
        assert_fails_in_one_line(finished, "There is no image to classify")


def test_nobody_listening_is_an_error(files):
    with socket.socket() as unused:
        # Bound but not listening: connections are refused, and nobody else takes the port.
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        finished = run_client(address, "--retries=1", *files[:1])
        waited = run_client(address, "--wait_for_ready=0.2", *files[:1])
    assert_fails_in_one_line(finished, address, "UNAVAILABLE", "python serving/server.py")
    assert_fails_in_one_line(waited, address, "ready", "0.2 seconds", "python serving/server.py")


def test_a_silent_server_is_an_error(files):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        finished = run_client(address, "--deadline=0.5", *files[:1])
    assert_fails_in_one_line(finished, address, "DEADLINE_EXCEEDED", "--deadline")


def test_an_unknown_model_is_an_error(address, files):
    finished = run_client(address, "--model=other", *files[:1])
    assert_fails_in_one_line(finished, "Servable not found for request: Latest(other)", "--model")
    finished = run_client(address, "--version=99", *files[:1])
    assert_fails_in_one_line(finished, "request: Specific(gated, 99)", "--version")
    finished = run_client(address, "--label=canary", *files[:1])
    assert_fails_in_one_line(finished, "Unrecognized servable version label: canary")


def test_a_full_server_is_an_error_with_advice(files):
    with stub_server(refuse(Code.RESOURCE_EXHAUSTED, "the queue is full")) as address:
        finished = run_client(address, *files[:1])
    assert_fails_in_one_line(finished, "RESOURCE_EXHAUSTED: the queue is full", "--in_flight")


def test_a_server_that_is_full_for_a_while_costs_its_images(files):
    predict = in_turn(echo, refuse(Code.RESOURCE_EXHAUSTED, "the queue is full"), echo)
    with stub_server(predict) as address:
        arguments = ["--batch_size=1", "--in_flight=1", "--format=csv"]
        finished = run_client(address, *arguments, *files[:4])
    failed = [
        ",RESOURCE_EXHAUSTED: the queue is full,," in row for row in finished.stdout.splitlines()
    ]
    assert failed == [False, False, True, False, False]
    advice, summary = finished.stderr.splitlines()
    assert advice.startswith("client.py: error: 1 of the images: RESOURCE_EXHAUSTED. ")
    assert "--in_flight" in advice
    assert summary.startswith("4 images, 1 failed, ")
    assert finished.returncode == 1


def test_a_server_that_goes_away_leaves_what_it_answered(files):
    predict = in_turn(echo, refuse(Code.UNAVAILABLE, "gone"))
    with stub_server(predict) as address:
        arguments = ["--batch_size=1", "--retries=0", "--in_flight=1", "--format=csv"]
        finished = run_client(address, *arguments, *files[:4])
    _, row = finished.stdout.splitlines()
    assert row.startswith(f"{files[0]},OK,")
    error, summary = finished.stderr.splitlines()
    assert error.startswith(f"client.py: error: No answer from {address}: UNAVAILABLE: gone. Start")
    assert summary.startswith("1 image, 0 failed, ")
    assert finished.returncode == 1


@pytest.mark.parametrize(
    "flag",
    [
        *(
            "--tau=40",
            "--tau=0",
            "--tau=nan",
            "--tau=1e-300",
            "--tau=0.9999999999999999",
            "--deadline=0",
            "--format=xml",
            "--batch_size=0",
        ),
        *("--in_flight=0", "--request_bytes=3000000000", "--retries=-1", "--version=-1", "--nope"),
        # gRPC would ask port 443.
        *("--server=localhost", "--server=127.0.0.1:", "--server=::1"),
        *("--wait_for_ready=inf", b"--model=\xff", b"--server=\xff:1", b"--label=\xff"),
    ],
)
def test_a_bad_flag_is_an_error(flag):
    flag = os.fsdecode(flag)
    name = flag.partition("=")[0].lstrip("-")
    assert_fails_in_one_line(run_client("127.0.0.1:1", flag, "a.jpg"), name, "--help")


def test_flags_that_do_not_go_together_are_an_error(tmp_path):
    no_pem = tmp_path / "no.pem"
    no_pem.write_text("no certificate")
    for arguments, part in (
        (["--version=1", "--label=canary"], "At most one of (version, label)"),
        ([f"--ca_certificate={no_pem}"], "--ca_certificate is of no use without --tls"),
        (["--tls", f"--client_key={no_pem}"], "--client_certificate and --client_key go together"),
        (["--tls", f"--ca_certificate={no_pem}"], "no.pem is no PEM file"),
        (["--tls", "--ca_certificate=missing"], "=missing cannot be read: No such file"),
    ):
        assert_fails_in_one_line(run_client("127.0.0.1:1", *arguments, "a.jpg"), part)


@pytest.mark.parametrize("kind", ["table", "jsonl"])
def test_a_full_disk_is_an_error(files, kind):
    with stub_server(echo) as address, open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, CLIENT, f"--server={address}", f"--format={kind}", files[0]]
        finished = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    (line,) = finished.stderr.splitlines()
    assert line.startswith("client.py: error: Cannot write the answers: No space left on device.")
    assert finished.returncode == 2


STREAMS = {
    "stdout closed": (">&-", 2, "client.py: error: Cannot write the answers: stdout is closed.\n"),
    "stderr closed": ("2>&-", 0, ""),
    "stderr full": ("2>/dev/full", 0, ""),
}


@pytest.mark.parametrize(("redirection", "code", "errors"), STREAMS.values(), ids=STREAMS)
def test_a_stream_that_takes_nothing(files, redirection, code, errors):
    with stub_server(echo) as address:
        script = f'exec "$@" {redirection}'
        command = ["sh", "-c", script, "sh", sys.executable, CLIENT, f"--server={address}"]
        finished = subprocess.run(
            [*command, "--format=jsonl", *files[:2]], capture_output=True, text=True
        )
    assert (finished.returncode, finished.stderr) == (code, errors)
    assert len(finished.stdout.splitlines()) == (0 if code else 2)


def test_what_a_server_says_has_no_control_characters(files):
    with stub_server(refuse(Code.INTERNAL, "\x1b]0;title\x07")) as address:
        finished = run_client(address, files[0])
    assert_fails_in_one_line(finished, r"INTERNAL: \x1b]0;title\x07")


def test_an_answer_that_is_none_is_an_error(files):
    with stub_server(lambda request, context: echo(request, macs=np.float32([np.nan]))) as address:
        finished = run_client(address, files[0])
    assert_fails_in_one_line(finished, "gated is no model exported by tfgates: macs has a number")


def test_names_and_labels_are_written_in_any_locale(tmp_path):
    file = tmp_path / os.fsdecode(b"\xff.jpg")
    file.write_bytes("Größe".encode())
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    with stub_server(echo) as address:
        for kind in ("table", "csv", "json", "jsonl"):
            command = [sys.executable, CLIENT, f"--server={address}", f"--format={kind}", tmp_path]
            finished = subprocess.run(command, env=environment, capture_output=True)
            assert finished.returncode == 0
            label, name = ("Größe", b"\xff.jpg")
            if kind.startswith("json"):
                label, name = json.dumps(label).strip('"'), b"\\udcff.jpg"
            assert label.encode() in finished.stdout
            assert name in finished.stdout


def test_tls_by_flags(files, certificate):
    key, signed = certificate
    pair = (key.read_bytes(), signed.read_bytes())
    secure = grpc.ssl_server_credentials([pair], pair[1], require_client_auth=True)
    trust = ["--tls", f"--ca_certificate={signed}"]
    show = [f"--client_certificate={signed}", f"--client_key={key}"]
    with stub_server(echo, credentials=secure) as address:
        assert run_client(address, *trust, *show, *files[:2]).returncode == 0
        refused = run_client(address, *trust, "--retries=0", *files[:2])
        assert_fails_in_one_line(refused, "UNAVAILABLE", "--client_certificate")
        distrusted = run_client(address, "--tls", *show, "--retries=0", *files[:2])
        assert_fails_in_one_line(distrusted, "CERTIFICATE_VERIFY_FAILED", "--ca_certificate")
        plain = run_client(address, "--retries=0", *files[:2])
        assert_fails_in_one_line(plain, "UNAVAILABLE", "--tls")


def cpu_seconds(*arguments):
    """Returns the CPU time of a whole run, which a busy machine stretches less than wall time."""
    before = os.times()
    assert run_script(*arguments).returncode == 0
    after = os.times()
    spent = after.children_user - before.children_user
    return spent + after.children_system - before.children_system


def test_it_starts_fast_and_imports_what_it_uses(files):
    with stub_server(echo) as address:
        arguments = [CLIENT, f"--server={address}", "--format=jsonl", *files[:1]]
        finished = run_script("-X", "importtime", *arguments)
        spent = min(cpu_seconds(*arguments) for _ in range(3))
    lines = [line.split("|") for line in finished.stderr.splitlines() if "|" in line]
    imported = {line[2].strip().partition(".")[0] for line in lines}
    assert {"grpc", "numpy", "tfgates_client", "google"} <= imported
    unused = {"tensorflow", "tensorflow_serving", "keras", "tfgates", "tabulate", "tqdm"}
    assert not unused & imported
    assert spent < 0.5


def test_it_runs_from_a_clone_where_tfgates_is_not_installed(tmp_path, files):
    for part in ("serving", "tfgates_client"):
        shutil.copytree(ROOT / part, tmp_path / "clone" / part)
    script = tmp_path / "clone/serving/client.py"
    # -S: an editable installation of tfgates is not seen.
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}
    with stub_server(echo) as address:
        command = [sys.executable, "-S", script, f"--server={address}", *files[:2]]
        finished = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True)
    assert (finished.returncode, len(finished.stdout.splitlines())) == (0, 4)


def test_the_library_is_there_under_both_names():
    code = "import serving.client, tfgates_client; print(serving.client.Client)"
    finished = run_script("-c", code)
    assert finished.stdout.strip() == "<class 'tfgates_client.client.Client'>"


def test_the_package_is_a_command(files):
    with stub_server(echo) as address:
        finished = run_script("-m", "tfgates_client", f"--server={address}", *files[:1])
        failed = run_script("-m", "tfgates_client", "--tau=7")
    assert finished.returncode == 0
    assert failed.stderr.startswith("tfgates_client: error: flag --tau=7")
