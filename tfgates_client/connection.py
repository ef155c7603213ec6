"""The connection to a server, and the calls under way on it."""

import random
import time
from concurrent import futures
from typing import Any

import grpc

from tfgates_client import wire

Code = grpc.StatusCode
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds before a request is sent again
OPTIONS = [
    # Of several addresses behind a name, as a headless Kubernetes service has, every one is used.
    ("grpc.lb_policy_name", "round_robin"),
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


class Connection:
    """A gRPC channel to a server.

    A thread that no Ctrl-C reaches changes its state: gRPC, interrupted between a call and the
    thread that is to hear of its end, would wait for that end for ever.

    Args:
        address: HOST:PORT.
        credentials: `grpc.ssl_channel_credentials(...)`, or None.
        deadline: seconds that a request may take.
        retries: how often a request is sent again to a server that is UNAVAILABLE.
    """

    def __init__(
        self,
        address: str,
        credentials: grpc.ChannelCredentials | None,
        deadline: float,
        retries: int,
    ) -> None:
        self.address, self.retries = address, retries
        self._deadline = deadline
        if credentials is None:
            self._channel = grpc.insecure_channel(address, OPTIONS)
        else:
            self._channel = grpc.secure_channel(address, credentials, OPTIONS)
        self._thread = futures.ThreadPoolExecutor(1)
        self._predict = self._channel.unary_unary(
            wire.PREDICT,
            request_serializer=wire.PredictRequest.SerializeToString,
            response_deserializer=wire.PredictResponse.FromString,
        )

    def close(self) -> None:
        """Cancels what is under way and ends the connection."""
        self._thread.submit(self._channel.close).result()

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

    def send(self, message: Any) -> Any:
        """Sends a `wire.PredictRequest`; returns the `grpc.Future` of its response."""
        return self._thread.submit(self._predict.future, message, self._deadline).result()


class Call:
    """A request under way.

    Args:
        connection: `Connection` on which it is sent.
        message: `wire.PredictRequest`.
    """

    def __init__(self, connection: Connection, message: Any) -> None:
        self._connection, self._message = connection, message
        self._future = connection.send(message)

    def done(self) -> bool:
        return bool(self._future.done())

    def cancel(self) -> None:
        self._future.cancel()

    def result(self) -> Any:
        """Waits for the `wire.PredictResponse`; asks a server again that is UNAVAILABLE.

        Raises:
            ServerError: the call failed.
        """
        pause = FIRST_PAUSE
        for _ in range(self._connection.retries):
            try:
                return self._future.result()
            except grpc.RpcError as error:
                if error.code() is not Code.UNAVAILABLE:
                    break
            # Clients that lost the same server do not come back in step.
            time.sleep(pause * random.uniform(0.75, 1.25))
            pause = min(2 * pause, LONGEST_PAUSE)
            self._future = self._connection.send(self._message)
        try:
            return self._future.result()
        except grpc.RpcError as error:
            reason = " ".join(f"{error.code().name}: {error.details()}".split())
            raise ServerError(reason, error.code()) from error
