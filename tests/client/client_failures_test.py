"""The client when a server is not there, not ready, too slow, too busy, or not to be trusted."""

import contextlib
import itertools
import socket
import threading
import time

import grpc
import numpy as np
import pytest
from stub_server import IMAGES, classify, contents, echo, in_turn, labels, refuse, stub_server

from tfgates_client import Answer, Client, ServerError, addresses, connection

pytest_plugins = ["stub_server"]

Code = grpc.StatusCode


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


@pytest.fixture
def pauses(monkeypatch):
    """The seconds that the client would have slept; it does not."""
    slept = []
    monkeypatch.setattr(connection.time, "sleep", slept.append)
    return slept


def test_a_server_that_is_unavailable_is_asked_again(pauses):
    unavailable = refuse(Code.UNAVAILABLE)
    sent = in_turn(unavailable, unavailable, unavailable, echo)
    with stub_server(sent) as address:
        assert labels(classify(address)) == IMAGES
    assert len(sent.requests) == 4
    np.testing.assert_allclose(pauses, [0.1, 0.2, 0.4], rtol=0.25)


def test_retries_are_bounded_and_what_was_answered_is_kept(pauses):
    sent = in_turn(echo, refuse(Code.UNAVAILABLE, "gone"))
    kept = []
    with (
        stub_server(sent) as address,
        Client(address, batch_size=5, in_flight=1, retries=9) as client,
    ):
        with pytest.raises(ServerError, match=f"{address}: UNAVAILABLE: gone") as caught:
            kept.extend(client.classify(IMAGES))
        assert caught.value.code is Code.UNAVAILABLE
    assert labels(kept) == IMAGES[:5]
    assert len(sent.requests) == 1 + 1 + 9
    assert (len(pauses), max(pauses) < 12.5, pauses[-1] > 7.5) == (9, True, True)


@pytest.mark.parametrize(
    "code", ["RESOURCE_EXHAUSTED", "INTERNAL", "INVALID_ARGUMENT", "NOT_FOUND"]
)
def test_nothing_else_is_asked_again(code, pauses):
    sent = in_turn(refuse(Code[code]))
    with stub_server(sent) as address, pytest.raises(ServerError, match=f"{code}: why") as caught:
        classify(address)
    assert (caught.value.code, len(sent.requests), pauses) == (Code[code], 1, [])


def test_a_request_that_fails_leaves_its_neighbours_alone():
    sent = in_turn(echo, refuse(Code.RESOURCE_EXHAUSTED, "the queue\nis full"), echo)
    with stub_server(sent) as address:
        answers = classify(address, batch_size=5, in_flight=1)
    full = "RESOURCE_EXHAUSTED: the queue is full"
    assert answers[5:10] == [Answer(f"image {index}", full) for index in range(5, 10)]
    assert labels(answers[:5] + answers[10:]) == IMAGES[:5] + IMAGES[10:]


def test_a_model_that_is_gone_ends_the_answers():
    sent = in_turn(echo, refuse(Code.NOT_FOUND))
    with stub_server(sent) as address, Client(address, batch_size=5, in_flight=1) as client:
        answers = client.classify(IMAGES)
        assert labels(itertools.islice(answers, 5)) == IMAGES[:5]
        with pytest.raises(ServerError, match="NOT_FOUND"):
            next(answers)
    assert len(sent.requests) == 2


def test_a_deadline_is_kept():
    released = threading.Event()
    with stub_server(lambda request, context: released.wait(20) and echo(request)) as address:
        start = time.monotonic()
        with pytest.raises(ServerError, match="DEADLINE_EXCEEDED"):
            classify(address, deadline=0.2)
        assert 0.2 <= time.monotonic() - start < 5
        released.set()


def test_an_error_cancels_what_is_in_flight():
    begun, cancelled = threading.Barrier(3), threading.Semaphore(0)

    def predict(request, context):
        begun.wait(20)
        if IMAGES[0] in contents(request):
            context.abort(Code.NOT_FOUND, "why")
        ended = threading.Event()
        context.add_callback(ended.set)
        ended.wait(20)
        cancelled.release()
        return echo(request)

    with stub_server(predict) as address, Client(address, batch_size=1, in_flight=3) as client:
        with pytest.raises(ServerError) as caught:
            list(client.classify(IMAGES[:3]))
        # The error keeps the frames alive, and the client is not closed yet.
        for _ in range(2):
            assert cancelled.acquire(timeout=10)
        assert caught.value.code is Code.NOT_FOUND


def test_a_server_that_starts_later_is_waited_for():
    with stub_server(echo) as address:
        port = int(address.partition(":")[2])
    with Client(address, retries=0) as client:
        with pytest.raises(ServerError, match=f"No answer from {address}.* 0.1 seconds") as caught:
            client.wait_for_ready(0.1)
        assert caught.value.code is Code.UNAVAILABLE
        waiting = threading.Thread(target=client.wait_for_ready, args=[20])
        waiting.start()
        time.sleep(0.3)
        assert waiting.is_alive()
        with stub_server(echo, port):
            waiting.join()
            assert labels(client.classify(IMAGES)) == IMAGES


def test_a_server_that_starts_again_goes_unnoticed():
    with stub_server(echo) as address:
        client = Client(address, batch_size=5, in_flight=1)
        answers = client.classify(IMAGES)
        first = labels(itertools.islice(answers, 5))
    port = int(address.partition(":")[2])
    with client, stub_server(echo, port):
        assert first + labels(answers) == IMAGES


def test_tls_checks_the_server(certificate):
    key, signed = (path.read_bytes() for path in certificate)
    secure = grpc.ssl_server_credentials([(key, signed)])
    trusting = grpc.ssl_channel_credentials(signed)
    with stub_server(echo, credentials=secure) as address:
        assert labels(classify(address, credentials=trusting)) == IMAGES
        for credentials in (None, grpc.ssl_channel_credentials()):
            with pytest.raises(ServerError, match="UNAVAILABLE"):
                classify(address, credentials=credentials, retries=0)


def test_tls_shows_the_clients_certificate(certificate):
    key, signed = (path.read_bytes() for path in certificate)
    secure = grpc.ssl_server_credentials([(key, signed)], signed, require_client_auth=True)
    with stub_server(echo, credentials=secure) as address:
        known = grpc.ssl_channel_credentials(signed, key, signed)
        assert labels(classify(address, credentials=known)) == IMAGES
        with pytest.raises(ServerError, match="UNAVAILABLE"):
            classify(address, credentials=grpc.ssl_channel_credentials(signed), retries=0)


class Line:
    """A line to a server: a relay on a port of its own that can die without a word.

    Attributes:
        address: HOST:PORT to connect to.
        connections: number of connections so far.
    """

    def __init__(self, target):
        self._target = target.split(":")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self._dead = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def die(self):
        """From now on nothing comes through the connections that there are."""
        self._dead = self.connections

    def _accept(self):
        while True:
            near, _ = self._listener.accept()
            far = socket.create_connection(self._target)
            self.connections += 1
            for ends in ((near, far), (far, near)):
                arguments = (*ends, self.connections)
                threading.Thread(target=self._relay, args=arguments, daemon=True).start()

    def _relay(self, source, sink, number):
        with contextlib.suppress(OSError):
            while content := source.recv(2**16):
                if number > self._dead:
                    sink.sendall(content)


def test_a_dead_line_is_left_before_its_deadline(monkeypatch):
    monkeypatch.setattr(connection, "PING_AFTER", 0.005)
    monkeypatch.setattr(connection, "PING_TIMEOUT", 0.005)
    with stub_server(echo) as address:
        line = Line(address)
        with Client(line.address, batch_size=5, in_flight=2, deadline=60) as client:
            answers = client.classify(IMAGES)
            first = labels(itertools.islice(answers, 5))
            line.die()
            assert first + labels(answers) == IMAGES
        assert line.connections == 2


@pytest.fixture
def proxied(monkeypatch):
    """A proxy in the environment, where nothing listens."""
    for variable in (*addresses.VARIABLES, *addresses.EXCEPTIONS):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")


def test_no_proxy_comes_between_a_machine_and_itself(proxied):
    with stub_server(echo) as address:
        assert labels(classify(address)) == IMAGES
        assert labels(classify(address.replace("127.0.0.1", "localhost"))) == IMAGES


def test_an_error_names_the_variable_of_a_proxy(proxied):
    with pytest.raises(
        ServerError, match=r"UNAVAILABLE: .*, through the proxy of the variable htt"
    ):
        classify("server.example:8500", IMAGES[:1], retries=0)
    with Client("server.example:8500") as client, pytest.raises(ServerError, match="http_proxy"):
        client.wait_for_ready(0.1)


@pytest.mark.parametrize(
    ("address", "exceptions", "variable"),
    [
        ("server.example:8500", "", "http_proxy"),
        ("dns:///server.example:8500", "other.example", "http_proxy"),
        ("server.example:8500", "localhost, .example", None),
        ("192.0.2.1:8500", "", "http_proxy"),
        ("127.example:8500", "", "http_proxy"),
        ("127.0.0.1:8500", "", None),
        ("ipv4:127.0.0.1:8500,127.1.2.3:8501", "", None),
        ("ipv6:[::1]:8500", "", None),
        ("[::1]:8500", "", None),
        ("dns:localhost:8500", "", None),
        ("unix:/run/server", "", None),
    ],
)
def test_addresses_behind_a_proxy(proxied, monkeypatch, address, exceptions, variable):
    monkeypatch.setenv("no_proxy", exceptions)
    assert addresses.proxy_variable(address) == variable
