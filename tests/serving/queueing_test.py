"""The queue: bounds, deadlines and callers that go away, over real gRPC."""

import socket
import subprocess
import sys
import time

import grpc
import numpy as np
import pytest
from queue_fixtures import one_thread, wait_until, waiting
from serving_fixtures import (
    arrays,
    assert_same,
    calling,
    config,
    jpegs,
    predict,
    refusal,
    server,
    serving,
    spec,
)
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest

pytest_plugins = ["serving_fixtures", "queue_fixtures"]

# Kinds of frames (RFC 9113, section 6).
SETTINGS, PING, GOAWAY = 4, 6, 7
CLIENT = """
import sys, grpc
request = sys.stdin.buffer.read()
with grpc.insecure_channel(sys.argv[1]) as channel:
    predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    while True:
        predict(request)
        print("answered", flush=True)
"""


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


def test_beyond_the_bound_requests_are_refused_at_once(serve, held):
    with serve(bound=3) as embedded, calling(embedded.address) as begin:
        held.gate.clear()
        calls = [begin(predict(image_bytes=jpegs(1))) for _ in range(3)]
        wait_until(lambda: waiting(embedded) == 2)
        start = time.monotonic()
        code, message = refusal(begin(predict(image_bytes=jpegs(1))))
        assert time.monotonic() - start < 1
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert message == "The queue is full: 3 requests wait or run. Ask again later."
        # Other calls are answered meanwhile.
        begin(GetModelStatusRequest(model_spec=spec())).result()
        held.gate.set()
        for begun in calls:
            begun.result()
        begin(predict(image_bytes=jpegs(1))).result()


def test_as_many_batches_wait_as_allowed(serve, held):
    bounded = one_thread("max_batch_size { value: 2 } max_enqueued_batches { value: 2 }")
    with serve(bounded) as embedded, calling(embedded.address) as begin:
        held.gate.clear()
        calls = [begin(predict(image_bytes=jpegs(2)))]
        held.wait_for_runs(1)
        calls += [begin(predict(image_bytes=jpegs(2))) for _ in range(2)]
        wait_until(lambda: waiting(embedded) == 2)
        code, _ = refusal(begin(predict(image_bytes=jpegs(1))))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        held.gate.set()
        for begun in calls:
            begun.result()


@pytest.mark.parametrize("merging", [None, one_thread()], ids=["plain", "batching"])
def test_what_nobody_waits_for_is_not_run(serve, held, merging):
    with serve(merging) as embedded, calling(embedded.address) as begin:
        held.gate.clear()
        first = begin(predict(image_bytes=jpegs(1)))
        held.wait_for_runs(1)
        late = begin(predict(image_bytes=jpegs(2)), timeout=1)
        cancelled = begin(predict(image_bytes=jpegs(3)))
        awaited = begin(predict(image_bytes=jpegs(4)), timeout=None)
        wait_until(lambda: waiting(embedded) == 3)
        cancelled.cancel()
        assert refusal(late)[0] == grpc.StatusCode.DEADLINE_EXCEEDED
        wait_until(lambda: waiting(embedded) == 1)
        held.gate.set()
        first.result()
        assert len(arrays(awaited.result())["status"]) == 4
    assert held.runs == [1, 4]


def test_a_run_ends_with_its_deadline(version):
    """A session stops where its caller does; the next request is answered."""
    many = np.array(jpegs(1) * 20_000, object)
    with serving(config.one_model("gated", str(version.parent))) as embedded:
        (model,) = (one.model for one in embedded.models.versions("gated").values())
        # The first run prepares the graph, which no deadline cuts short.
        model.run("serving_default", {"image_bytes": many[:1]})
        start = time.monotonic()
        with pytest.raises(server.Refused) as refused:
            model.run("serving_default", {"image_bytes": many}, timeout=0.1)
        assert time.monotonic() - start < 4
        assert refused.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
        with calling(embedded.address) as begin:
            assert len(arrays(begin(predict(image_bytes=jpegs(2))).result())["macs"]) == 2


def test_a_client_killed_mid_stream_harms_nobody(address, begin, ask):
    request = predict(image_bytes=jpegs(8))
    victim = subprocess.Popen(
        [sys.executable, "-c", CLIENT, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    victim.stdin.write(request.SerializeToString())
    victim.stdin.close()
    assert victim.stdout.readline() == b"answered\n"
    calls = [begin(request) for _ in range(4)]
    victim.kill()
    victim.wait()
    victim.stdout.close()
    calls += [begin(request) for _ in range(4)]
    expected = ask("serving_default", image_bytes=jpegs(8))
    for begun in calls:
        assert_same(arrays(begun.result()), expected)


def test_a_client_may_ask_whether_the_line_lives(serve):
    """Pings as they are sent, without requests; after the second, gRPC itself would hang up."""
    with serve(one_thread()) as embedded:
        host, port = embedded.address.split(":")
        with (
            socket.create_connection((host, int(port)), timeout=30) as line,
            line.makefile("rb") as answers,
        ):
            line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS))
            kinds = frames(answers)
            for number in range(10):
                line.sendall(frame(PING, number.to_bytes(8)))
                assert next(kind for kind in kinds if kind in (PING, GOAWAY)) == PING


def frame(kind, payload=b""):
    """A frame of HTTP/2 for the line as a whole (RFC 9113, section 4.1)."""
    return len(payload).to_bytes(3) + bytes([kind]) + bytes(5) + payload


def frames(answers):
    """Yields the kinds of the frames that come."""
    while head := answers.read(9):
        answers.read(int.from_bytes(head[:3]))
        yield head[3]


def test_a_stop_cancels_what_outlasts_its_grace(version):
    one = config.one_model("gated", str(version.parent))
    with (
        serving(one, max_images=30_000) as embedded,
        calling(embedded.address) as begin,
    ):
        begun = begin(predict(image_bytes=jpegs(1) * 30_000))
        wait_until(lambda: embedded.queue._held and not waiting(embedded))
        start = time.monotonic()
        embedded.server.stop(grace=0.2)
        assert time.monotonic() - start < 5
        assert refusal(begun)[0] in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
