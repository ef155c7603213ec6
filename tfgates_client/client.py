"""The client: images in, answers out, requests in flight between them."""

import collections
import dataclasses
import random
import time
from collections.abc import Iterable, Iterator
from typing import Any, Self

import grpc

from tfgates_client import wire
from tfgates_client.answers import Answer, from_outputs
from tfgates_client.images import Batch, Image, batches

Code = grpc.StatusCode
# What these say of one request holds for all that would follow.
FINAL = {
    Code.UNAVAILABLE,
    Code.NOT_FOUND,
    Code.FAILED_PRECONDITION,
    Code.UNIMPLEMENTED,
    Code.UNAUTHENTICATED,
    Code.PERMISSION_DENIED,
}
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds before a request is sent again
# Protobuf ends at 2 GiB, with the names and numbers around the images.
MAX_REQUEST_BYTES = 2_000_000_000
CHANNEL_OPTIONS = [
    # gRPC takes 4 MB otherwise.
    ("grpc.max_receive_message_length", -1),
    # A server that comes back is found within seconds; gRPC's own pause grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
]


class ServerError(Exception):
    """The server gives no answer.

    Attributes:
        code: its `grpc.StatusCode`; None where it answered, but not as a tfgates model does.
    """

    def __init__(self, message: str, code: Any = None) -> None:
        super().__init__(message)
        self.code = code


@dataclasses.dataclass
class _Request:
    batch: Batch
    message: Any
    future: Any = None  # None where no image of the batch could be read

    def done(self) -> bool:
        return self.future is None or self.future.done()


@dataclasses.dataclass(eq=False)
class Client:
    """Classifies images with a tfgates model behind TensorFlow Serving or serving/server.py.

        with Client("127.0.0.1:8500") as client:
            for answer in client.classify(["a.jpg", "b.jpg"], tau=0.5):
                print(answer.name, answer.label, answer.score, answer.macs, answer.status)

    At most `in_flight * request_bytes` bytes of images are held. Every request asks for all outputs
    of the model, with no filter, as its warm-up does: another set would cost the server seconds and
    hundreds of megabytes at its first use.

    Args:
        address: HOST:PORT of the server.
        model: name of the model there.
        version: of the model, from 0; None: the server's choice, the highest.
        label: of a version, as "canary", instead of its number.
        deadline: seconds that a request may take.
        retries: how often a request is sent again to a server that is UNAVAILABLE, after 0.1, 0.2,
            0.4, ... seconds, at most 10, give or take a quarter. No other failure is tried again.
        batch_size: images in a request, at most.
        in_flight: requests under way at one time, at most.
        request_bytes: of the images in a request, in [1, 2e9]; a greater image is refused.
        credentials: `grpc.ssl_channel_credentials(...)` for TLS; None: an unencrypted channel.

    Raises:
        ValueError: an argument out of its range.
    """

    address: str
    _: dataclasses.KW_ONLY
    model: str = "gated"
    version: int | None = None
    label: str | None = None
    deadline: float = 60.0
    retries: int = 5
    batch_size: int = 32
    in_flight: int = 4
    request_bytes: int = 64 * 2**20
    credentials: grpc.ChannelCredentials | None = None

    def __post_init__(self) -> None:
        for name in ("address", "model"):
            if not getattr(self, name):
                raise ValueError(f"`{name}` is empty.")
        if self.version is not None and self.label is not None:
            raise ValueError(
                "`version` and `label` exclude each other. "
                f"Received: version={self.version}, label={self.label!r}."
            )
        if not self.deadline > 0:
            raise ValueError(f"`deadline` is greater than 0. Received: {self.deadline}.")
        for name, least in (("retries", 0), ("batch_size", 1), ("in_flight", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` is at least {least}. Received: {getattr(self, name)}.")
        if not 1 <= self.request_bytes <= MAX_REQUEST_BYTES:
            raise ValueError(
                f"`request_bytes` is in [1, {MAX_REQUEST_BYTES}]. Received: {self.request_bytes}."
            )
        self._answered = False
        if self.credentials is None:
            self._channel = grpc.insecure_channel(self.address, CHANNEL_OPTIONS)
        else:
            self._channel = grpc.secure_channel(self.address, self.credentials, CHANNEL_OPTIONS)
        self._predict = self._channel.unary_unary(
            wire.PREDICT,
            request_serializer=wire.PredictRequest.SerializeToString,
            response_deserializer=wire.PredictResponse.FromString,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; requests under way are cancelled."""
        self._channel.close()

    def wait_for_ready(self, seconds: float) -> None:
        """Waits until a server accepts the connection.

        Raises:
            ServerError: none did in this time.
        """
        ready = grpc.channel_ready_future(self._channel)
        try:
            ready.result(timeout=seconds)
        except grpc.FutureTimeoutError as error:
            raise ServerError(
                f"No answer from {self.address}: nothing was ready there in {seconds:g} seconds.",
                Code.UNAVAILABLE,
            ) from error
        finally:
            ready.cancel()

    def classify(self, images: Iterable[Image], tau: float | None = None) -> Iterator[Answer]:
        """Classifies images, in order, while the next requests are under way.

        Args:
            images: names of JPEG or PNG files, or their bytes; read as requests are sent, no
                sooner, so it may be endless. `find_images` makes them of folders and patterns.
            tau: a block runs where its probability is greater, in (0, 1); None: as the model was
                exported.

        Yields:
            An `Answer` for each image. A file that cannot be read, an image that is none and a
            request that fails after others were answered are told by its `status`.

        Raises:
            ServerError: the server gives no answer: to the first request, at all any more
                (UNAVAILABLE after all retries), or because model, version or signature are unknown.
            ValueError: tau out of its range.
        """
        if tau is not None and not 0 < tau < 1:
            raise ValueError(f"`tau` is a probability in (0, 1). Received: {tau}.")
        return self._classify(batches(images, self.batch_size, self.request_bytes), tau)

    def _classify(self, unsent: Iterator[Batch], tau: float | None) -> Iterator[Answer]:
        flight: collections.deque[_Request] = collections.deque()
        try:
            while True:
                # An answer that is there does not wait for a slow list of images.
                while len(flight) < self.in_flight and not (flight and flight[0].done()):
                    batch = next(unsent, None)
                    if batch is None:
                        break
                    flight.append(_Request(batch, self._message(batch, tau)))
                    self._send(flight[-1])
                if not flight:
                    return
                yield from flight[0].batch.merge(self._answers(flight[0]))
                flight.popleft()
        finally:
            for request in flight:
                if request.future:
                    request.future.cancel()

    def _message(self, batch: Batch, tau: float | None) -> Any:
        message = wire.PredictRequest()
        spec = message.model_spec
        spec.name = self.model
        if self.version is not None:
            spec.version.value = self.version
        if self.label is not None:
            spec.version_label = self.label
        wire.set_strings(message.inputs["image_bytes"], batch.contents)
        batch.contents.clear()  # The message has its own copy.
        if tau is not None:
            spec.signature_name = "predict_tau"
            wire.set_floats(message.inputs["tau"], [tau] * len(batch.names))
        return message

    def _send(self, request: _Request) -> None:
        if request.batch.names:
            request.future = self._predict.future(request.message, timeout=self.deadline)

    def _answers(self, request: _Request) -> list[Answer]:
        """Waits for the answers to those images of a request that could be read."""
        names = request.batch.names
        if not names:
            return []
        try:
            outputs = self._outputs(request)
            self._answered = True
            return from_outputs(names, outputs)
        except grpc.RpcError as error:
            code, details = error.code(), " ".join(error.details().split())
            if code in FINAL or not self._answered:
                message = f"No answer from {self.address}: {code.name}: {details}"
                raise ServerError(message, code) from error
            return [Answer(name, f"{code.name}: {details}") for name in names]
        except ValueError as error:
            raise ServerError(f"{self.model} is no model exported by tfgates: {error}") from error

    def _outputs(self, request: _Request) -> Any:
        for attempt in range(self.retries):
            try:
                return request.future.result().outputs
            except grpc.RpcError as error:
                if error.code() is not Code.UNAVAILABLE:
                    raise
            time.sleep(min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE) * random.uniform(0.75, 1.25))
            self._send(request)
        return request.future.result().outputs
