"""The server: its ports and services, and the process around them."""

import faulthandler
import functools
import gc
import signal
import sys
import threading
from concurrent import futures

import grpc
import tensorflow as tf
from absl import flags
from grpc_health.v1 import health, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

from tfgates.base.errors import UserError
from tfgates.export import checksums
from tfgates_server import options
from tfgates_server.lifetime import repeat, say, wait_for_signal
from tfgates_server.listening import refusal
from tfgates_server.model import Model
from tfgates_server.models import Models
from tfgates_server.queueing import Queue
from tfgates_server.refused import Refused
from tfgates_server.services import ModelService, PredictionService
from tfgates_server.warmup import warm_up
from tfgates_server.watcher import Watcher

FLAGS = flags.FLAGS
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
        max_images=1000,
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
        functools.partial(load, config=options.session(), warm=FLAGS.enable_model_warmup),
        retries=FLAGS.max_num_load_retries,
        retry_seconds=FLAGS.load_retry_interval_micros / 1e6,
        early_labels=FLAGS.allow_version_labels_for_unavailable_models,
    )
    configs, credentials = options.model_configs(), options.credentials()
    queue = Queue(options.batching(), FLAGS.enable_batching, FLAGS.grpc_max_threads)
    try:
        watcher.configure(configs)
    except Refused as error:
        raise UserError(str(error)) from error
    server = Server(
        models,
        watcher,
        queue,
        FLAGS.host,
        FLAGS.port,
        credentials,
        FLAGS.max_images_per_request,
    )
    print(f"Serving {_describe(models)}, on {FLAGS.host}:{server.port}", flush=True)
    models.report = _report
    stopped = threading.Event()
    threads = [
        repeat(watcher.poll, FLAGS.file_system_poll_wait_seconds, stopped),
        repeat(lambda: reload(watcher), FLAGS.model_config_file_poll_wait_seconds, stopped),
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
