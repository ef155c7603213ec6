"""Serves exported models over gRPC, as TensorFlow Serving does.

    python serving/server.py --model_base_path=runs/demo/export

A small double of tensorflow_model_server: the same calls, flags, text files, status codes and
messages. It is the default on machines without docker and the double of the real server in the
tests; production is tensorflow/serving.
"""

import faulthandler
import functools
import gc
import signal
import sys
import threading
from concurrent import futures

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    # Until requests are served there is nothing to be finished; a background job ignores it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import grpc
import options
import tensorflow as tf
from grpc_health.v1 import health, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse
from lifetime import repeat, say, wait_for_signal
from listening import refusal
from model import Model
from models import Models
from queueing import Queue
from refused import Refused
from services import ModelService, PredictionService
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus
from warmup import warm_up
from watcher import Watcher

from tfgates.base import command
from tfgates.base.errors import UserError
from tfgates.export import checksums

# What a stop waits for requests in flight; Kubernetes kills after 30 s.
GRACE_SECONDS = 25
# After which a stop that hangs says where, and ends all the same.
STOP_SECONDS = 28
# For what does not wait: status, health, and refusals.
SPARE_THREADS = 4
OPTIONS = [
    # A second server would silently share the port.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", -1),
    # Clients and what lies between ask a line for life as often as they like, requests or none.
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
]
SERVICES = (
    "",
    "tensorflow.serving.PredictionService",
    "tensorflow.serving.ModelService",
)


class Server:
    """A gRPC server of `Models`, started.

    Args:
        models: `Models`.
        watcher: `Watcher` that loads them.
        queue: `Queue` through which predictions go.
        host: address to listen on.
        port: of the host; 0 takes any free one, which is the attribute `port` then.
        credentials: `grpc.ServerCredentials`; None: without TLS.
        max_images: number of images in a request; more are refused.

    Raises:
        UserError: the port is taken, the host another machine's, or the certificate none.
    """

    def __init__(
        self,
        models,
        watcher,
        queue,
        host="127.0.0.1",
        port=0,
        credentials=None,
        max_images=options.MAX_IMAGES.default,
    ):
        self._models, self._queue = models, queue
        self._server = grpc.server(
            futures.ThreadPoolExecutor(queue.bound + SPARE_THREADS),
            options=OPTIONS,
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            PredictionService(models, queue, max_images), self._server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(
            ModelService(models, watcher), self._server
        )
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for service in SERVICES:
            self._health.set(service, HealthCheckResponse.SERVING)
        self.port = self._listen(host, port, credentials)
        self._server.start()

    def stop(self, grace):
        """Takes no further requests, gives those in flight so many seconds, cancels the rest."""
        self._health.enter_graceful_shutdown()
        self._server.stop(grace).wait()
        # A run that nobody waits for any longer would keep its thread.
        self._models.close()
        self._queue.close()

    def _listen(self, host, port, credentials):
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if credentials:
                return self._server.add_secure_port(address, credentials)
            return self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise refusal(host, port, credentials is not None, error) from error


def main():
    # Until requests are served there is nothing to be finished.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    tf.get_logger().setLevel("ERROR")
    # Collecting an unloaded graph would look at all of TensorFlow, for half a second.
    gc.freeze()
    models = Models()
    watcher = Watcher(
        models,
        functools.partial(load, config=options.session(), warm=options.WARMUP.value),
        retries=options.RETRIES.value,
        retry_seconds=options.RETRY_MICROS.value / 1e6,
        early_labels=options.EARLY_LABELS.value,
    )
    configs, credentials = options.model_configs(), options.credentials()
    queue = Queue(options.batching(), options.BATCHING.value, options.MAX_THREADS.value)
    try:
        watcher.configure(configs)
    except Refused as error:
        raise UserError(str(error)) from error
    server = Server(
        models,
        watcher,
        queue,
        options.HOST.value,
        options.PORT.value,
        credentials,
        options.MAX_IMAGES.value,
    )
    print(f"Serving {_describe(models)}, on {options.HOST.value}:{server.port}", flush=True)
    models.report = _report
    stopped = threading.Event()
    threads = [
        repeat(watcher.poll, options.FOLDER_POLL.value, stopped),
        repeat(lambda: reload(watcher), options.CONFIG_POLL.value, stopped),
    ]
    wait_for_signal()
    stopped.set()
    faulthandler.dump_traceback_later(STOP_SECONDS, exit=True)
    server.stop(GRACE_SECONDS)
    for thread in threads:
        thread.join()
    say("Stopped.")


def load(name, path, config=None, warm=True):
    """Loads a sound version and warms it up; arguments and errors are those of what it calls."""
    checksums.verify(path)
    model = Model(name, path, config)
    if warm:
        try:
            warm_up(model, path)
        except UserError:
            model.close()
            raise
    return model


def reload(watcher):
    """Reads the file of the models again; a file that is refused changes nothing."""
    watcher.configure(options.model_configs())


def _describe(models):
    parts = []
    for name in models.names():
        numbers = models.available(name)
        plural = "s" if len(numbers) > 1 else ""
        parts.append(f"{name}, version{plural} {' and '.join(map(str, numbers))}")
    return "; ".join(parts)


def _report(version):
    line = (
        f"{version.name}, version {version.number}: {ModelVersionStatus.State.Name(version.state)}"
    )
    if version.error:
        say(f"server.py: {line}: {version.error}", sys.stderr)
    else:
        say(line)


if __name__ == "__main__":
    command.run(main)
