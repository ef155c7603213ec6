"""Ctrl-C while the client runs: once, twice, and where Python or gRPC would not survive it."""

import json
import re
import signal
import subprocess
import time

import pytest
from stub_server import CLIENT, echo, in_turn, start_client, stub_server

pytest_plugins = ["stub_server"]

# Put in front of the client; `interrupt` is Ctrl-C at this very place.
PATCH = f"""\
import grpc._channel, runpy, signal, sys, threading, time
from tfgates_client import connection
def interrupt(*unused):
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
%s
sys.argv[0] = 'client.py'
runpy.run_path({str(CLIENT)!r}, run_name='__main__')
"""
BETWEEN_CALL_AND_THREAD = """\
start, count = grpc._channel._run_channel_spin_thread, iter(range(9))
def interrupted(state):
    if next(count) == 1:
        interrupt()
        time.sleep(0.2)
    start(state)
grpc._channel._run_channel_spin_thread = interrupted
"""
IN_A_DESTRUCTOR = """\
def once(self):
    del connection.Call.__del__
    interrupt()
connection.Call.__del__ = once
"""
ENDLESS_CLOSE = """\
def close(self):
    print("closing", file=sys.stderr, flush=True)
    time.sleep(1000)
connection.Connection.close = close
"""


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


@pytest.fixture(autouse=True)
def interruptible():
    """A shell's background job ignores interrupts, and so would its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def send(running, *paths):
    for path in paths:
        print(path, file=running.stdin)


def ended(running):
    """Returns what it prints until its end; its stdin stays open, and only a fault takes long."""
    try:
        running.wait(60)
    except subprocess.TimeoutExpired:
        running.kill()
    return running.stdout.read(), running.stderr.read()


def wait_for_requests(running, received, count):
    while len(received.requests) < count:
        assert running.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize("kind", ["table", "json"])
def test_what_was_answered_is_kept(files, kind):
    received = in_turn(echo)
    with stub_server(received) as address, start_client(address, f"--format={kind}") as running:
        send(running, *files[:2])
        # The second request is sent after the answer to the first.
        wait_for_requests(running, received, 2)
        running.send_signal(signal.SIGINT)
        # An interrupt between Python's last look and a read that blocks is noticed when that ends.
        output, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert re.fullmatch(r"\nclient.py: interrupted after [12] images?, .*\n", errors)
    if kind == "json":
        output = "\n".join(record["file"] for record in json.loads(output))
    assert str(files[0]) in output


@pytest.mark.parametrize(
    "patch", [BETWEEN_CALL_AND_THREAD, IN_A_DESTRUCTOR], ids=["in gRPC", "in a destructor"]
)
def test_an_interrupt_anywhere_is_taken(files, patch):
    with (
        stub_server(echo) as address,
        start_client(address, "--format=json", script=["-c", PATCH % patch]) as running,
    ):
        send(running, *files[:2])
        output, errors = ended(running)
    assert re.fullmatch(r"\nclient.py: interrupted after [12] images?, .*\n", errors)
    assert json.loads(output)[0]["file"] == str(files[0])
    assert running.returncode == 130


def test_the_second_interrupt_ends_it_silently(files):
    received = in_turn(echo)
    with (
        stub_server(received) as address,
        start_client(address, "--format=json", script=["-c", PATCH % ENDLESS_CLOSE]) as running,
    ):
        send(running, files[0])
        wait_for_requests(running, received, 1)
        running.send_signal(signal.SIGINT)
        running.stdin.close()
        assert running.stderr.readline() == "closing\n"
        running.send_signal(signal.SIGINT)
        _, errors = ended(running)
    assert (running.returncode, errors) == (-signal.SIGINT, "")


def test_an_interrupt_before_the_start_ends_it_silently(files):
    patch = "import absl.app; absl.app.run = lambda *unused, **others: interrupt()"
    with start_client("127.0.0.1:1", script=["-c", PATCH % patch]) as running:
        _, errors = ended(running)
    assert (running.returncode, errors) == (-signal.SIGINT, "")
