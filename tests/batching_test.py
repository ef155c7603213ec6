"""The queue: merged requests, bounds, deadlines and callers that go away, over real gRPC."""

import subprocess
import sys
import threading
import time

import grpc
import numpy as np
import pytest
from serving_fixtures import (
    arrays,
    assert_same,
    batching,
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

from tfgates.errors import UserError

pytest_plugins = ["serving_fixtures"]

INVALID = grpc.StatusCode.INVALID_ARGUMENT
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


class Held:
    """The exported model behind a server; its runs are noted, and held while `gate` is closed.

    Attributes:
        gate: `threading.Event`; runs wait until it is set.
        runs: for each run that has begun the number of its images.
    """

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.runs = []

    def load(self, name, path):
        model = server.load(name, path)
        run = model.run

        def held(signature, inputs, timeout=None):
            self.runs.append(len(next(iter(inputs.values()))))
            self.gate.wait()
            return run(signature, inputs, timeout)

        model.run = held
        return model

    def wait_for_runs(self, count):
        wait_until(lambda: len(self.runs) >= count)


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def held():
    return Held()


@pytest.fixture
def serve(version, held):
    """Function (merging, bound) -> context of an `Embedded` with the held model."""
    one = config.one_model("gated", str(version.parent))
    return lambda *arguments, **options: serving(one, *arguments, load=held.load, **options)


def waiting(embedded):
    return len(embedded.queue._waiting)


def parameters(text):
    return batching.Batching.from_parameters(
        config.text_format.Parse(text, config.BatchingParameters())
    )


def one_thread(text=""):
    return parameters("num_batch_threads { value: 1 }" + text)


def test_requests_are_merged_and_get_their_own_answers(serve, held, ask):
    images = np.array(jpegs(8), object)
    sizes = [1, 3, 0, 2, 2]
    shares = np.split(images, np.cumsum(sizes)[:-1])
    with serve(one_thread()) as embedded, calling(embedded.address) as begin:
        held.gate.clear()
        first = begin(predict(image_bytes=images))
        held.wait_for_runs(1)
        # In the queue they wait for the one thread, then they are merged.
        calls = []
        for count, share in enumerate(shares, 1):
            calls.append(begin(predict(image_bytes=share)))
            wait_until(lambda count=count: waiting(embedded) == count)
        held.gate.set()
        expected = ask("serving_default", image_bytes=images)
        assert_same(arrays(first.result()), expected)
        answers = [arrays(begun.result()) for begun in calls]
    assert held.runs == [8, 8]
    assert [len(answer["status"]) for answer in answers] == sizes
    together = {name: np.concatenate([one[name] for one in answers]) for name in expected}
    assert_same(together, expected)


def test_signatures_are_not_merged_with_each_other(serve, held):
    with serve(one_thread()) as embedded, calling(embedded.address) as begin:
        held.gate.clear()
        first = begin(predict(image_bytes=jpegs(1)))
        held.wait_for_runs(1)
        tau = np.full(2, 0.5, "float32")
        calls = [first]
        for request in (
            predict(image_bytes=jpegs(2)),
            predict("predict_tau", image_bytes=jpegs(2), tau=tau),
        ):
            calls += [begin(request), begin(request)]
        wait_until(lambda: waiting(embedded) == 4)
        held.gate.set()
        for begun in calls:
            begun.result()
    assert held.runs == [1, 4, 4]


def test_a_batch_is_no_larger_than_allowed_and_padded_to_an_allowed_size(serve, held, ask):
    sizes = "max_batch_size { value: 4 } allowed_batch_sizes: 2 allowed_batch_sizes: 4"
    with serve(one_thread(sizes)) as embedded, calling(embedded.address) as begin:
        held.gate.clear()
        calls = [begin(predict(image_bytes=jpegs(1)))]
        held.wait_for_runs(1)
        for _ in range(5):
            calls.append(begin(predict(image_bytes=jpegs(1))))
        wait_until(lambda: waiting(embedded) == 5)
        held.gate.set()
        expected = ask("serving_default", image_bytes=jpegs(1))
        for begun in calls:
            assert_same(arrays(begun.result()), expected)
        refused = refusal(begin(predict(image_bytes=jpegs(5))))
        assert refused == (INVALID, "Task size 5 is larger than maximum input batch size 4")
    assert held.runs == [2, 4, 2]


def test_a_request_waits_for_others_as_long_as_asked(serve, held):
    patient = one_thread("batch_timeout_micros { value: 1000000 } max_batch_size { value: 4 }")
    with serve(patient) as embedded, calling(embedded.address) as begin:
        start = time.monotonic()
        begin(predict(image_bytes=jpegs(1))).result()
        assert time.monotonic() - start >= 1
        start = time.monotonic()
        calls = [begin(predict(image_bytes=jpegs(1))) for _ in range(4)]
        for begun in calls:
            begun.result()
        # The batch is full at once.
        assert time.monotonic() - start < 1
    assert held.runs == [1, 4]


def test_inputs_that_cannot_be_merged_are_refused_before_they_are(serve, held):
    with serve(one_thread()) as embedded, calling(embedded.address) as begin:
        tau = np.full(3, 0.5, "float32")
        refused = refusal(begin(predict("predict_tau", image_bytes=jpegs(2), tau=tau)))
        assert refused == (
            INVALID,
            "Batching Run() input tensors must have equal 0th-dimension size",
        )
    assert held.runs == []


def test_a_request_that_fails_a_batch_fails_alone(version, ask):
    """As a graph that asserts something of its values would."""
    poison = b"poison"

    def load(name, path):
        model = server.load(name, path)
        run = model.run

        def checked(signature, inputs, timeout=None):
            if poison in inputs["image_bytes"]:
                raise server.Refused(INVALID, "assertion failed")
            return run(signature, inputs, timeout)

        model.run = checked
        return model

    patient = one_thread("batch_timeout_micros { value: 50000 }")
    one = config.one_model("gated", str(version.parent))
    with serving(one, patient, load=load) as embedded, calling(embedded.address) as begin:
        good, bad = predict(image_bytes=jpegs(2)), predict(image_bytes=[poison])
        calls = [begin(good), begin(bad), begin(good)]
        expected = ask("serving_default", image_bytes=jpegs(2))
        assert_same(arrays(calls[0].result()), expected)
        assert refusal(calls[1]) == (INVALID, "assertion failed")
        assert_same(arrays(calls[2].result()), expected)


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


def test_merge_and_split_are_inverse():
    requests = [{"x": np.full([rows, 2], rows), "y": np.arange(rows)} for rows in (2, 0, 3)]
    merged = batching.merge(requests, 8)
    assert merged["x"].tolist() == [[2, 2]] * 2 + [[3, 3]] * 6
    assert merged["y"].tolist() == [0, 1, 0, 1, 2, 2, 2, 2]
    for request, share in zip(requests, batching.split(merged, [2, 0, 3]), strict=True):
        np.testing.assert_equal(share, request)


def test_parameters_are_those_of_tensorflow_serving():
    assert parameters("") == batching.Batching()
    assert (batching.Batching().max_batch_size, batching.Batching().max_enqueued_batches) == (
        1000,
        10,
    )
    found = parameters(
        "max_batch_size { value: 8 } batch_timeout_micros { value: 1500 } num_batch_threads "
        "{ value: 3 } max_enqueued_batches { value: 7 } thread_pool_name { value: 'pool' } "
        "allowed_batch_sizes: 1 allowed_batch_sizes: 8"
    )
    assert found == batching.Batching(8, 0.0015, 7, 3, (1, 8))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size { value: 0 }", "max_batch_size is at least 1. Received: 0"),
        ("num_batch_threads { value: 0 }", "num_batch_threads is at least 1"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros is at least 0"),
        ("max_enqueued_batches { value: 0 }", "max_enqueued_batches is at least 1"),
        ("pad_variable_length_inputs: true", "pad_variable_length_inputs is not offered"),
        ("allowed_batch_sizes: 8", "up to max_batch_size, 1000. Received: 8"),
        (
            "max_batch_size { value: 4 } allowed_batch_sizes: 4 allowed_batch_sizes: 4",
            "Received: 4, 4",
        ),
        ("max_batch_size { value: 4 } allowed_batch_sizes: 0 allowed_batch_sizes: 4", "1 or more"),
    ],
)
def test_bad_parameters_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        parameters(text)


def test_a_stop_cancels_what_outlasts_its_grace(version):
    one = config.one_model("gated", str(version.parent))
    with serving(one) as embedded, calling(embedded.address) as begin:
        begun = begin(predict(image_bytes=jpegs(1) * 30_000))
        wait_until(lambda: embedded.queue._held and not waiting(embedded))
        start = time.monotonic()
        embedded.server.stop(grace=0.2)
        assert time.monotonic() - start < 5
        assert refusal(begun)[0] in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
