"""What benchmarks/serving.py measures: an export, a server of it, and its clients."""

import contextlib
import pathlib
import re
import subprocess
import sys

import numpy as np
import psutil
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest

import tfgates
from tfgates.base.errors import UserError
from tfgates.data.preprocess import Preprocessing
from tfgates.export import warmup
from tfgates.export.publish import publish
from tfgates.export.savedmodel import ServedModel
from tfgates.networks import NETWORKS

ROOT = pathlib.Path(__file__).parents[1]
CLASSES = 10


def export(case, folder):
    """Exports a network with random weights, and warm-up requests; returns the version's path."""
    name, size = case.split(":")[0], int(case.split(":")[1])
    network = tfgates.gate(NETWORKS[name](CLASSES, input_shape=(size, size, 3)), seed=1)
    labels = [f"class {index}" for index in range(CLASSES)]
    model = ServedModel(network, Preprocessing(size), labels)
    return publish(model, folder, extras={warmup.FILE: warmup.requests(size, tau=0.5)})


def jpegs(count, size):
    """Returns the bytes of coloured checkerboards."""
    rng = np.random.default_rng(0)
    squares = (255 * rng.random((count, 4, 4, 3))).astype("uint8")
    images = squares.repeat(size // 4, 1).repeat(size // 4, 2)
    return np.array([tf.io.encode_jpeg(image).numpy() for image in images], object)


@contextlib.contextmanager
def serving(folder, *arguments):
    """Runs server.py while the block runs; gives its address and its process."""
    command = [sys.executable, str(ROOT / "serving/server.py"), f"--model_base_path={folder}"]
    process = subprocess.Popen(
        [*command, "--port=0", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        found = re.search(r"on (\S+:\d+)$", process.stdout.readline())
        if not found:
            raise UserError("serving/server.py has not started: its reason stands above.")
        yield found[1], psutil.Process(process.pid)
    finally:
        process.terminate()
        process.communicate()


@contextlib.contextmanager
def clients(address, request, folder, count):
    """Starts client processes; gives a function seconds -> what each prints, [count, 3]."""
    file = pathlib.Path(folder) / "request.binpb"
    file.write_bytes(request.SerializeToString())
    command = [sys.executable, "-m", "benchmarks.load", address, str(file)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(count)]

    def ask(seconds):
        for process in processes:
            process.stdin.write(f"{seconds}\n")
            process.stdin.flush()
        return np.array([one.stdout.readline().split() for one in processes], float)

    try:
        ask(0.5)
        yield ask
    finally:
        for process in processes:
            process.communicate()


def request_for(images):
    """Returns a PredictRequest."""
    request = PredictRequest()
    request.model_spec.name = "gated"
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(images))
    return request
