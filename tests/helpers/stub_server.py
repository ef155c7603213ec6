"""A gRPC server that answers Predict as a test wants it, fast and without a model.

PYTEST_DONT_REWRITE: there is no assertion here.
"""

import contextlib
import subprocess
import sys
from concurrent import futures

import grpc
import numpy as np
import pytest
import tensorflow as tf
from examples import ROOT, run_script
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tfgates_client import Client

CLIENT = ROOT / "serving/client.py"
IMAGES = [f"image of {index}".encode() for index in range(20)]


@contextlib.contextmanager
def stub_server(predict, port=0, credentials=None):
    """Runs a server while the block runs.

    Args:
        predict: function (request, context) -> response of Predict.
        port: of 127.0.0.1; 0: any free one.
        credentials: `grpc.ssl_server_credentials(...)`, or None.

    Yields:
        Its address, HOST:PORT.
    """

    class Stub(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            return predict(request, context)

    server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Stub(), server)
    address = f"127.0.0.1:{port}"
    if credentials:
        port = server.add_secure_port(address, credentials)
    else:
        port = server.add_insecure_port(address)
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def contents(request):
    """Returns the bytes of a request's images."""
    return tf.make_ndarray(request.inputs["image_bytes"]).tolist()


def echo(request, context=None, **others):
    """Answers each image with its own bytes as the label.

    Args:
        request, context: as of Predict.
        **others: arrays or `TensorProto`s, outputs to add or to replace.
    """
    images = contents(request)
    count = len(images)
    outputs = {
        "classes": np.array([[image, b"other"] for image in images], object),
        "scores": np.tile(np.float32([0.75, 0.25]), [count, 1]),
        "class_ids": np.tile(np.int32([4, 2]), [count, 1]),
        "gates": np.tile([True, False, True], [count, 1]),
        "macs": np.full(count, 3e6, "float32"),
        "status": np.full(count, b"OK", object),
    } | others
    protos = {
        name: value if isinstance(value, tensor_pb2.TensorProto) else tf.make_tensor_proto(value)
        for name, value in outputs.items()
    }
    return predict_pb2.PredictResponse(outputs=protos)


def refuse(code, details="why"):
    """Returns a Predict that fails."""
    return lambda request, context: context.abort(code, details)


def in_turn(*predicts):
    """Returns a Predict that behaves as each of these in turn, then as the last.

    Its `requests` are what it received.
    """

    def predict(request, context):
        predict.requests.append(request)
        behave = predicts[min(len(predict.requests), len(predicts)) - 1]
        return behave(request, context)

    predict.requests = []
    return predict


def classify(address, images=IMAGES, tau=None, **settings):
    """Returns the answers to some images, of a new client."""
    with Client(address, **settings) as client:
        return list(client.classify(images, tau))


def labels(answers):
    """Returns the images that `echo` answered."""
    return [answer.label.encode() for answer in answers]


def run_client(address, *arguments, folder=ROOT):
    """Returns the finished command, run in a folder, with its output."""
    return run_script(CLIENT, f"--server={address}", *arguments, timeout=60, folder=folder)


def start_client(address, *arguments, script=(CLIENT,)):
    """Starts the client with pipes; it reads the next name from stdin when it has answered.

    Args:
        address: of the server.
        *arguments: of the client.
        script: arguments of Python that run it.
    """
    command = [sys.executable, *script, f"--server={address}", "--batch_size=1", "--in_flight=1"]
    command += [*arguments, "-"]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1
    )


@pytest.fixture
def files(tmp_path):
    """Paths of files that `echo` answers with their contents."""
    paths = [tmp_path / f"{index:02}.jpg" for index in range(len(IMAGES))]
    for path, image in zip(paths, IMAGES, strict=True):
        path.write_bytes(image)
    return paths


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Paths of a private key and of a certificate of 127.0.0.1 that it signed itself, PEM."""
    folder = tmp_path_factory.mktemp("tls")
    key, signed = folder / "key.pem", folder / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    options = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", key, "-out", signed]
    subprocess.run([*command.split(), *options, *files], check=True, capture_output=True)
    return key, signed
