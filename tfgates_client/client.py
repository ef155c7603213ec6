"""The client: images in, answers out, requests in flight between them."""

import collections
import dataclasses
import math
import os
from collections.abc import Iterable, Iterator
from typing import Any, Self

import grpc
import numpy as np

from tfgates_client import wire
from tfgates_client.addresses import names_ports
from tfgates_client.answers import Answer, from_outputs
from tfgates_client.connection import Call, Code, Connection, ServerError
from tfgates_client.images import Batch, Image, batches

# What these say of one request holds for all that would follow.
FINAL = {
    Code.UNAVAILABLE,
    Code.NOT_FOUND,
    Code.FAILED_PRECONDITION,
    Code.UNIMPLEMENTED,
    Code.UNAUTHENTICATED,
    Code.PERMISSION_DENIED,
}
# By the thresholds that a request brings along.
SIGNATURES = {
    ("tau",): "predict_tau",
    ("exit_tau",): "predict_exit_tau",
    ("tau", "exit_tau"): "predict_taus",
}
MAX_VERSION = 2**63 - 1
# Protobuf ends at 2 GiB, with the names and numbers around the images.
MAX_REQUEST_BYTES = 2_000_000_000


@dataclasses.dataclass(eq=False)
class Client:
    """Classifies images with a tfgates model behind TensorFlow Serving or serving/server.py.

        with Client("127.0.0.1:8500") as client:
            for answer in client.classify(["a.jpg", "b.jpg"], tau=0.5):
                print(answer.name, answer.label, answer.score, answer.macs, answer.status)

    At most `in_flight * request_bytes` bytes of images are under way. Every request asks for all
    outputs of the model, with no filter: each other set of outputs would cost the server seconds
    and hundreds of megabytes at its first use.

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
        for name in ("address", "model", "label"):
            value = getattr(self, name)
            if value is not None and not is_text(value):
                raise ValueError(f"`{name}` is text, of Unicode's characters. Received: {value!r}.")
        if not names_ports(self.address):
            raise ValueError(
                f"`address` is HOST:PORT, as 127.0.0.1:8500. Received: {self.address!r}."
            )
        if self.version is not None and self.label is not None:
            raise ValueError(
                "`version` and `label` exclude each other. "
                f"Received: version={self.version}, label={self.label!r}."
            )
        if not self.deadline > 0:
            raise ValueError(f"`deadline` is greater than 0. Received: {self.deadline}.")
        for name, least, most in (
            ("version", 0, MAX_VERSION),
            ("retries", 0, math.inf),
            ("batch_size", 1, math.inf),
            ("in_flight", 1, math.inf),
            ("request_bytes", 1, MAX_REQUEST_BYTES),
        ):
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise ValueError(f"`{name}` is in [{least}, {most}]. Received: {value}.")
        self._answered = False
        self._connection = Connection(self.address, self.credentials, self.deadline, self.retries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; requests under way are cancelled."""
        self._connection.close()

    def wait_for_ready(self, seconds: float) -> None:
        """Waits until a server accepts the connection.

        Raises:
            ServerError: none did in this time.
        """
        self._connection.wait_for_ready(seconds)

    def classify(
        self, images: Iterable[Image], tau: float | None = None, exit_tau: float | None = None
    ) -> Iterator[Answer]:
        """Classifies images, in order, while the next requests are under way.

        Args:
            images: names of JPEG or PNG files, or their bytes; read as requests are sent, no
                sooner, so it may be endless. `find_images` makes them of folders and patterns.
            tau: a block runs where its probability is greater, in (0, 1); None: as the model was
                exported.
            exit_tau: of a model with early exits, an image goes on where the probability of that is
                greater, in (0, 1); None: as the model was exported.

        Yields:
            An `Answer` for each image. A file that cannot be read, an image that is none and a
            request that fails after others were answered are told by its `status`.

        Raises:
            ServerError: the server gives no answer: to the first request, at all any more
                (UNAVAILABLE after all retries), or because model, version or signature are unknown.
            TypeError: `images` is one image.
            ValueError: tau or exit_tau out of its range.
        """
        if isinstance(images, str | bytes | os.PathLike):
            raise TypeError("`images` holds images, as [image]. Received: one image.")
        taus = {"tau": tau, "exit_tau": exit_tau}
        given = {name: value for name, value in taus.items() if value is not None}
        for name, value in given.items():
            if not is_threshold(value):
                raise ValueError(
                    f"`{name}` is a probability in (0, 1), as float32. Received: {value}."
                )
        return self._classify(batches(images, self.batch_size, self.request_bytes), given)

    def _classify(self, unsent: Iterator[Batch], taus: dict[str, float]) -> Iterator[Answer]:
        # Without a call where no image of the batch could be read.
        flight: collections.deque[tuple[Batch, Call | None]] = collections.deque()
        try:
            while True:
                while len(flight) < self.in_flight and not _is_done(flight):
                    batch = next(unsent, None)
                    if batch is None:
                        break
                    flight.append((batch, self._send(batch, taus) if batch.names else None))
                if not flight:
                    return
                batch, call = flight[0]
                yield from batch.merge(self._answers(batch.names, call) if call else [])
                flight.popleft()
        finally:
            for _, call in flight:
                if call:
                    call.cancel()

    def _send(self, batch: Batch, taus: dict[str, float]) -> Call:
        message = wire.PredictRequest()
        spec = message.model_spec
        spec.name = self.model
        if self.version is not None:
            spec.version.value = self.version
        if self.label is not None:
            spec.version_label = self.label
        wire.set_strings(message.inputs["image_bytes"], batch.contents)
        batch.contents.clear()  # The message has its own copy.
        if taus:
            spec.signature_name = SIGNATURES[tuple(taus)]
        for name, value in taus.items():
            wire.set_floats(message.inputs[name], [value] * len(batch.names))
        return Call(self._connection, message)

    def _answers(self, names: list[str], call: Call) -> list[Answer]:
        try:
            outputs: Any = call.result().outputs
        except ServerError as error:
            if error.code in FINAL or not self._answered:
                raise ServerError(f"No answer from {self.address}: {error}", error.code) from error
            return [Answer(name, str(error)) for name in names]
        self._answered = True
        try:
            return from_outputs(names, outputs)
        except ValueError as error:
            raise ServerError(f"{self.model} is no model exported by tfgates: {error}") from error


def is_threshold(tau: float) -> bool:
    """Whether a number lies in (0, 1) as the float32 that is sent."""
    return bool(0 < np.float32(tau) < 1)


def is_text(value: str) -> bool:
    """Whether a text has characters, and only such as can be sent."""
    return bool(value.encode(errors="ignore")) and value == value.encode(errors="ignore").decode()


def _is_done(flight: collections.deque[tuple[Batch, Call | None]]) -> bool:
    """Whether there is a next answer, which does not wait for a slow list of images."""
    if not flight:
        return False
    _, call = flight[0]
    return call is None or call.done()
