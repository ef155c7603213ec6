"""The client as its users run it: files in, rows and exit codes out."""

import re
import socket
from concurrent import futures

import grpc
import numpy as np
import pytest
import tensorflow as tf
from examples import run_script
from serving_fixtures import BROKEN, SERVING, jpegs
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

pytest_plugins = ["serving_fixtures"]

HEADER = ["file", "label", "score", "gates", "M multiply-adds"]
UNREADABLE = "error: not a readable JPEG or PNG image; send the bytes of an image file"


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


@pytest.fixture
def client(address):
    """Function (*arguments) -> the finished client, which asked the server."""
    return lambda *arguments: run_client(address, *arguments)


def run_client(address, *arguments):
    return run_script(SERVING / "client.py", f"--server={address}", *arguments, timeout=60)


def rows(finished):
    """Returns the cells of the printed table, row by row, without the trailing empty ones."""
    header, _, *lines = finished.stdout.splitlines()
    assert re.split(r"\s{2,}", header) == HEADER
    return [re.split(r"\s{2,}", line.strip()) for line in lines]


def expected_rows(paths, answer):
    """Returns the rows that the answer of a SavedModel makes."""
    gates = answer["gates"].astype(int).astype(str)
    return [
        [str(path), classes[0].decode(), f"{scores[0]:.3f}", "".join(opened), f"{macs / 1e6:.2f}"]
        for path, classes, scores, opened, macs in zip(
            paths, answer["classes"], answer["scores"], gates, answer["macs"], strict=True
        )
    ]


def assert_fails_in_one_line(finished, *parts):
    (line,) = finished.stderr.splitlines()
    assert line.startswith("client.py: error: ")
    for part in parts:
        assert part in line
    assert (finished.returncode, finished.stdout) == (2, "")


def test_a_row_for_each_file_in_order(client, ask, image_files):
    paths = image_files(8)[::-1]
    finished = client(*paths)
    answer = ask("serving_default", image_bytes=jpegs(8)[::-1])
    assert rows(finished) == expected_rows(paths, answer)
    assert (finished.returncode, finished.stderr) == (0, "")


def test_files_of_several_requests_keep_their_order(client, ask, image_files):
    paths = image_files(40)
    answer = ask("serving_default", image_bytes=jpegs(40))
    assert rows(client(*paths)) == expected_rows(paths, answer)


def test_a_broken_file_leaves_its_neighbours_alone(client, ask, image_files):
    paths = image_files(8)
    paths[3].write_bytes(BROKEN)
    finished = client(*paths)
    expected = expected_rows(paths, ask("serving_default", image_bytes=jpegs(8)))
    expected[3] = [str(paths[3]), UNREADABLE]
    assert rows(finished) == expected
    assert (finished.returncode, finished.stderr) == (1, "")


def test_a_missing_file_and_a_folder_leave_their_neighbours_alone(client, ask, image_files):
    paths = image_files(8)
    expected = expected_rows(paths, ask("serving_default", image_bytes=jpegs(8)))
    paths[0].unlink()
    expected[0] = [str(paths[0]), "error: No such file or directory"]
    paths[5] = paths[5].parent
    expected[5] = [str(paths[5]), "error: Is a directory"]
    finished = client(*paths)
    assert rows(finished) == expected
    assert (finished.returncode, finished.stderr) == (1, "")


def test_tau_sets_the_threshold(client, ask, image_files):
    paths = image_files(8)
    multiply_adds = {}
    for tau in (0.01, 0.99):
        printed = rows(client(f"--tau={tau}", *paths))
        taus = np.full(8, tau, "float32")
        answer = ask("predict_tau", image_bytes=jpegs(8), tau=taus)
        assert printed == expected_rows(paths, answer)
        multiply_adds[tau] = sum(float(row[4]) for row in printed)
    assert multiply_adds[0.99] < 0.8 * multiply_adds[0.01]


def test_no_files_are_an_error(client):
    assert_fails_in_one_line(client(), "There is no image to classify")


def test_nobody_listening_is_an_error(image_files):
    with socket.socket() as unused:
        # Bound but not listening: connections are refused, and nobody else takes the port.
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        finished = run_client(address, *image_files(1))
    assert_fails_in_one_line(finished, address, "UNAVAILABLE", "python serving/server.py")


def test_a_silent_server_is_an_error(image_files):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        finished = run_client(address, "--timeout=0.5", *image_files(1))
    assert_fails_in_one_line(finished, address, "DEADLINE_EXCEEDED", "--timeout")


def test_an_unknown_model_is_an_error(client, image_files):
    finished = client("--model=other", *image_files(1))
    assert_fails_in_one_line(finished, "Servable not found for request: Latest(other)", "--model")


def other_answer(images, classes):
    """Returns an answer for some images, with the given shape of the classes."""
    outputs = {
        "classes": np.full(classes, b"cat", object),
        "scores": np.full([images, 5], 0.2, "float32"),
        "gates": np.full([images, 3], True),
        "macs": np.full(images, 1e6, "float32"),
        "status": np.full(images, b"OK", object),
    }
    protos = {name: tf.make_tensor_proto(array) for name, array in outputs.items()}
    return predict_pb2.PredictResponse(outputs=protos)


@pytest.mark.parametrize(
    "answer",
    [predict_pb2.PredictResponse(), other_answer(1, [1, 5]), other_answer(2, [2])],
    ids=["no outputs", "one row for two images", "classes without ranks"],
)
def test_an_answer_of_another_model_is_an_error(image_files, answer):
    class Other(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            return answer

    server = grpc.server(futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Other(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    finished = run_client(f"127.0.0.1:{port}", *image_files(2))
    server.stop(None)
    assert_fails_in_one_line(finished, "gated is no model exported by tfgates")


@pytest.mark.parametrize("flag", ["--tau=40", "--tau=0", "--tau=nan", "--timeout=0", "--nope"])
def test_a_bad_flag_is_an_error(client, flag):
    name = flag.partition("=")[0].lstrip("-")
    assert_fails_in_one_line(client(flag, "a.jpg"), name, "--help")


def test_neither_tensorflow_nor_tfgates_is_imported(address, image_files):
    arguments = [SERVING / "client.py", f"--server={address}", *image_files(1)]
    finished = run_script("-X", "importtime", *arguments)
    assert finished.returncode == 0
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in finished.stderr.splitlines()
    }
    assert {"grpc", "numpy", "wire", "google"} <= imported
    assert not {"tensorflow", "tensorflow_serving", "keras", "tfgates"} & imported
