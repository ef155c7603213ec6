"""A server that cannot listen says what is at fault: the port, the host, or the certificate."""

import concurrent.futures
import errno
import socket

import grpc
import pytest
from serving_fixtures import server

from tfgates_server import listening


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


@pytest.fixture(scope="module")
def taken():
    """A port of 127.0.0.1 that a server has."""
    busy = grpc.server(concurrent.futures.ThreadPoolExecutor(1), options=server.OPTIONS)
    yield busy.add_insecure_port("127.0.0.1:0")
    busy.stop(None)


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("127.0.0.1", "--port={port} is taken on 127.0.0.1. Stop"),
        ("192.0.2.1", "--host=192.0.2.1 is not an address of this machine: Cannot assign"),
        ("no.such.host.invalid", "--host=no.such.host.invalid is not an address of this machine"),
        ("a" * 70, "is not an address of this machine"),
    ],
)
def test_the_address_is_blamed_where_it_is_at_fault(taken, host, words, encrypted):
    said = str(listening.refusal(host, taken, encrypted, RuntimeError("grpc's")))
    assert words.format(port=taken) in said
    assert "ssl" not in said


def test_a_port_of_the_system_is_one(monkeypatch):
    def refuse(*unused):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", refuse)
    said = str(listening.refusal("127.0.0.1", 80, False, RuntimeError()))
    assert said.startswith("--port=80 needs rights")


def test_else_the_certificate_is_blamed():
    said = str(listening.refusal("127.0.0.1", 0, True, RuntimeError("grpc's")))
    assert said.startswith("--ssl_config_file holds a server_key")
    assert "--port" not in said
    assert "grpc's" in str(listening.refusal("127.0.0.1", 0, False, RuntimeError("grpc's")))
