"""Serves an exported model over gRPC, as TensorFlow Serving does.

    python serving/server.py --model_base_path=runs/demo/export

Speaks TensorFlow Serving's PredictionService (Predict, Classify, GetModelMetadata) and ModelService
(GetModelStatus), with its status codes and messages. It is the default on machines without docker,
and the double of the real server in the tests; production is tensorflow/serving.
"""

import pathlib
import signal
import threading
from concurrent import futures

import grpc
import tensorflow as tf
from absl import flags
from model import Model
from services import ModelService, PredictionService
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from tfgates import command
from tfgates.errors import UserError

BASE_PATH = flags.DEFINE_string(
    "model_base_path", None, "Folder of integer versions; the highest is served.", required=True
)
NAME = flags.DEFINE_string("model_name", "gated", "Name under which clients ask for the model.")
PORT = flags.DEFINE_integer(
    "port", 8500, "Port on 127.0.0.1; 0: any free one.", lower_bound=0, upper_bound=65535
)

THREADS = 4
GRACE_SECONDS = 5


def main():
    # Images run side by side in the graph's loop, each on one thread.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    model = Model(NAME.value, latest_version(BASE_PATH.value))
    server, port = start(model, PORT.value)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    print(f"Serving {model.name}, version {model.version}, on 127.0.0.1:{port}", flush=True)
    stopped.wait()
    server.stop(GRACE_SECONDS).wait()
    print("Stopped.", flush=True)


def latest_version(base_path):
    """Returns the path of the highest integer version in a folder.

    Raises:
        UserError: there is none.
    """
    folder = pathlib.Path(base_path)
    versions = [path for path in folder.glob("*") if path.name.isdecimal() and path.is_dir()]
    if not versions:
        raise UserError(
            f"--model_base_path={folder} holds no model version, a folder named by a number. "
            "Make one with python -m tfgates.tools.export --run=runs/NAME."
        )
    return max(versions, key=lambda path: int(path.name))


def start(model, port):
    """Starts a server on the loopback interface.

    Args:
        model: `Model`.
        port: of 127.0.0.1; 0 takes any free one.

    Returns:
        The started `grpc.Server`, and its port.

    Raises:
        UserError: the port is taken.
    """
    server = grpc.server(
        futures.ThreadPoolExecutor(THREADS),
        # Without so_reuseport=0 a second server would silently share the port.
        options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(model), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(model), server)
    try:
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
    except RuntimeError:
        bound = 0
    if not bound:
        raise UserError(f"--port={port} is taken. Stop what listens there, or choose another port.")
    server.start()
    return server, bound


if __name__ == "__main__":
    command.run(main)
