"""The client as a library: images in, answers out, in order, so many at a time."""

import itertools
import pathlib
import threading
import time

import numpy as np
import pytest
import tensorflow as tf
from serving_fixtures import BROKEN, jpegs
from stub_server import IMAGES, classify, contents, echo, in_turn, labels, stub_server
from tensorflow.core.framework import tensor_shape_pb2

from tfgates_client import Answer, Client, ServerError

pytest_plugins = ["serving_fixtures"]


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


def test_an_answer_is_the_models(address, ask):
    images = [*jpegs(3), BROKEN]
    *answers, broken = classify(address, images, tau=0.6)
    expected = ask("predict_tau", image_bytes=images, tau=np.full(4, 0.6, "float32"))
    for index, answer in enumerate(answers):
        assert (answer.name, answer.status, answer.ok) == (f"image {index}", "OK", True)
        assert answer.labels == tuple(label.decode() for label in expected["classes"][index])
        assert (answer.label, answer.score) == (answer.labels[0], answer.scores[0])
        np.testing.assert_allclose(answer.scores, expected["scores"][index], atol=1e-6)
        assert answer.class_ids == tuple(expected["class_ids"][index])
        assert answer.gates == tuple(expected["gates"][index])
        assert answer.macs == expected["macs"][index]
        assert answer.macs_full == expected.get("macs_full", [None] * 4)[index]
    assert broken == Answer("image 3", expected["status"][3].decode())
    assert (broken.ok, broken.label, broken.score) == (False, "", 0.0)


@pytest.mark.parametrize("full", [None, 4e6])
def test_the_full_cost_is_there_where_the_model_sends_it(full):
    others = {} if full is None else {"macs_full": np.full(1, full, "float32")}
    with stub_server(lambda request, context: echo(request, **others)) as address:
        (answer,) = classify(address, IMAGES[:1])
    assert (answer.macs, answer.macs_full) == (3e6, full)


def test_requests_are_spread_over_the_addresses_of_a_name():
    first, second = in_turn(echo), in_turn(echo)
    with stub_server(first) as one, stub_server(second) as other:
        answers = classify(f"ipv4:{one},{other}", batch_size=1, in_flight=1)
    assert labels(answers) == IMAGES
    assert len(first.requests) + len(second.requests) == len(IMAGES)
    assert min(len(first.requests), len(second.requests)) > len(IMAGES) // 4


def test_order_is_kept_when_answers_come_back_in_another():
    finished = []

    def slow_at_first(request, context):
        time.sleep(0.3 if IMAGES[0] in contents(request) else 0)
        finished.append(IMAGES.index(contents(request)[0]))
        return echo(request)

    with stub_server(slow_at_first) as address:
        answers = classify(address, batch_size=3)
    assert (sorted(finished[:3]), finished[3]) == ([3, 6, 9], 0)
    assert labels(answers) == IMAGES


def test_requests_in_flight_are_bounded():
    counts, running, lock = [], [], threading.Lock()

    def counted(request, context):
        with lock:
            running.append(request)
            counts.append(len(running))
        time.sleep(0.03)
        with lock:
            running.pop()
        return echo(request)

    with stub_server(counted) as address:
        assert labels(classify(address, batch_size=1, in_flight=3)) == IMAGES
    assert (len(counts), max(counts)) == (20, 3)


def test_images_are_not_read_ahead_of_what_is_in_flight():
    read = []
    endless = (read.append(index) or IMAGES[index % 20] for index in itertools.count())
    with stub_server(echo) as address, Client(address, batch_size=4, in_flight=2) as client:
        answers = client.classify(endless)
        for position in range(30):
            assert next(answers).label.encode() == IMAGES[position % 20]
            assert len(read) <= 4 * (position // 4 + 2)
        answers.close()


def test_bytes_of_a_request_are_bounded():
    images = [bytes([65 + index]) * length for index, length in enumerate([4, 5, 6, 10, 11, 1])]
    sent = in_turn(echo)
    with stub_server(sent) as address:
        answers = classify(address, images, request_bytes=10, in_flight=1)
    assert [contents(request) for request in sent.requests] == [
        images[:2],
        images[2:3],
        images[3:4],
        images[5:],
    ]
    too_great = Answer("image 4", "OUT_OF_RANGE: greater than a request may be, 10 bytes")
    assert answers[4] == too_great
    assert labels(answers[:4] + answers[5:]) == images[:4] + images[5:]


def test_an_answer_of_more_than_four_megabytes_is_received():
    great = np.array([[b"x" * 5_000_000, b""]], object)
    with stub_server(lambda request, context: echo(request, classes=great)) as address:
        assert labels(classify(address, IMAGES[:1])) == [great[0, 0]]


def test_every_request_asks_for_the_same_outputs_of_the_model():
    sent = in_turn(echo)
    with stub_server(sent) as address:
        classify(address, IMAGES[:1])
        classify(address, IMAGES[:2], tau=0.25, model="other", version=3)
        classify(address, IMAGES[:1], label="canary")
    plain, numbered, labelled = sent.requests
    assert [list(request.output_filter) for request in sent.requests] == [[], [], []]
    assert (plain.model_spec.name, plain.model_spec.signature_name) == ("gated", "")
    assert plain.model_spec.WhichOneof("version_choice") is None
    assert (numbered.model_spec.name, numbered.model_spec.version.value) == ("other", 3)
    assert numbered.model_spec.signature_name == "predict_tau"
    assert list(numbered.inputs["tau"].float_val) == [0.25, 0.25]
    assert labelled.model_spec.version_label == "canary"


def test_files_and_bytes_may_be_mixed(tmp_path):
    file, missing = tmp_path / "a.jpg", tmp_path / "b.jpg"
    file.write_bytes(b"of a file")
    with stub_server(echo) as address:
        answers = classify(address, [file, b"bytes", missing, str(file), tmp_path, "\0"])
    assert [answer.name for answer in answers] == [
        *(str(file), "image 1", str(missing), str(file), str(tmp_path), "\0")
    ]
    assert [answer.label for answer in answers] == ["of a file", "bytes", "", "of a file", "", ""]
    assert [answer.status for answer in answers] == [
        *("OK", "OK", "NOT_FOUND: No such file or directory", "OK"),
        *("INVALID_ARGUMENT: Is a directory", "INVALID_ARGUMENT: embedded null byte"),
    ]


def test_files_that_cannot_be_read_need_no_server(tmp_path):
    answers = classify("127.0.0.1:1", [tmp_path / f"{index}.jpg" for index in range(50)])
    assert [answer.status for answer in answers] == ["NOT_FOUND: No such file or directory"] * 50


def shaped(dtype, *shape, **values):
    proto = tf.make_tensor_proto([], dtype)
    proto.MergeFrom(type(proto)(**values))
    proto.tensor_shape.CopyFrom(
        tensor_shape_pb2.TensorShapeProto(dim=[{"size": size} for size in shape])
    )
    return proto


OF_ANOTHER_MODEL = {
    "one row for two images": ("classes", np.full([1, 2], b"cat", object)),
    "scores of one rank": ("scores", np.ones(2, "float32")),
    "no status": ("status", np.array([], object)),
    "labels that are numbers": ("classes", np.ones([2, 2], "float32")),
    "decisions that are numbers": ("gates", np.ones([2, 3], "int32")),
    "numbers of classes that are none": ("class_ids", np.ones([2, 2], "float32")),
    "scores that are no numbers": ("scores", np.float32([[0.5, 0.5], [np.nan, 0]])),
    "endless costs": ("macs", np.float32([np.inf, 1])),
    "rows without end": ("scores", shaped("float32", 2, 2**62, float_val=[0.5])),
    "rows of less than nothing": ("gates", shaped("bool", 2, -1, bool_val=[True])),
    "gigabytes from a few bytes": ("scores", shaped("float32", 2, 2**30, float_val=[0.5])),
    "a class more": ("classes", np.full([2, 3], b"cat", object)),
    "labels that are no text": ("classes", np.full([2, 2], b"\xff", object)),
    "a status that is no text": ("status", np.full(2, b"\xff", object)),
}


@pytest.mark.parametrize(("name", "value"), OF_ANOTHER_MODEL.values(), ids=OF_ANOTHER_MODEL)
def test_an_answer_of_another_model_is_an_error(name, value):
    with (
        stub_server(lambda request, context: echo(request, **{name: value})) as address,
        pytest.raises(ServerError, match="is no model exported by tfgates: "),
    ):
        classify(address, IMAGES[:2])


def test_one_image_is_no_list_of_images():
    for image in ("a.jpg", b"bytes", pathlib.Path("a.jpg")):
        with pytest.raises(TypeError, match="holds images"):
            classify("127.0.0.1:1", image)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"address": ""}, "address"),
        ({"address": "localhost"}, "HOST:PORT.*Received: 'localhost'"),
        ({"model": ""}, "model"),
        ({"model": "\udcff"}, r"model.*Received: '\\udcff'"),
        ({"address": "\udcff:1"}, "address"),
        ({"label": "\udcff"}, "label"),
        ({"version": 1, "label": "canary"}, "exclude each other.*version=1"),
        ({"version": 2**63}, "version.*Received: 9223372036854775808"),
        ({"deadline": 0}, "deadline.*Received: 0"),
        ({"retries": -1}, "retries.*Received: -1"),
        ({"batch_size": 0}, "batch_size.*Received: 0"),
        ({"in_flight": 0}, "in_flight.*Received: 0"),
        ({"request_bytes": 2**31}, "request_bytes.*Received: 2147483648"),
        ({"tau": 1.0}, "tau.*Received: 1.0"),
    ],
)
def test_an_argument_out_of_its_range_is_refused(settings, parts):
    with pytest.raises(ValueError, match=parts):
        classify(**({"address": "127.0.0.1:1"} | settings))
