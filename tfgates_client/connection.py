"""The connection to a server, and the calls under way on it."""

import random
import time
from concurrent import futures
from typing import Any

import grpc

from tfgates_client import wire
from tfgates_client.addresses import is_local, proxy_variable

Code = grpc.StatusCode
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds before a request is sent again
# Shares of the deadline: a line on which nothing comes is asked for life, and given up, where there
# is none, before the requests on it are. Some servers do not like to be asked more often.
PING_AFTER, PING_TIMEOUT = 0.5, 0.25
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
        timeout = _milliseconds(PING_TIMEOUT * deadline)
        options = [
            *OPTIONS,
            ("grpc.keepalive_time_ms", _milliseconds(PING_AFTER * deadline)),
            ("grpc.keepalive_timeout_ms", timeout),
            ("grpc.http2.ping_timeout_ms", timeout),
            ("grpc.enable_http_proxy", int(not is_local(address))),
        ]
        if credentials is None:
            self._channel = grpc.insecure_channel(address, options)
        else:
            self._channel = grpc.secure_channel(address, credentials, options)
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
                f"No answer from {self.address}: nothing was ready there in {seconds:g} seconds"
                f"{self.way()}.",
                Code.UNAVAILABLE,
            ) from error
        finally:
            ready.cancel()

    def way(self) -> str:
        """Returns, for an error, how the server is reached, where that is not the straight way."""
        variable = proxy_variable(self.address)
        return f", through the proxy of the variable {variable}" if variable else ""

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
            if error.code() in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED):
                reason += self._connection.way()
            raise ServerError(reason, error.code()) from error


def _milliseconds(seconds: float) -> int:
    return min(max(int(1000 * seconds), 1), 2**31 - 1)
