"""Requests are merged and split again, over real gRPC; parameters of batching."""

import time

import grpc
import numpy as np
import pytest
from queue_fixtures import one_thread, parameters, wait_until, waiting
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
)

from tfgates.base.errors import UserError

pytest_plugins = ["serving_fixtures", "queue_fixtures"]

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


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
