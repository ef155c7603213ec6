"""Tensors of a request: read as TensorFlow reads them, and bounded before they are made."""

import numpy as np
import pytest
import tensorflow as tf
from serving_fixtures import arrays, classify, example, jpegs, predict, refusal, spec, tensor
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest

from tfgates_server import tensors
from tfgates_server.refused import Refused

pytest_plugins = ["serving_fixtures"]

LENGTHS = b"\x03\xc8\x01\x00" + b"abc" + bytes(200)
READ = {
    "no values": tensor("string", 2),
    "no numbers": tensor("float32", 2, 2),
    "last of the strings": tensor("string", 3, string_val=[b"a", b"b"]),
    "last of the numbers": tensor("float32", 2, 2, float_val=[1, 2]),
    "more strings": tensor("string", 1, string_val=[b"a", b"b"]),
    "more numbers": tensor("int64", 1, int64_val=[2**40, 5]),
    "more truths": tensor("bool", 1, bool_val=[True, False]),
    "small numbers": tensor("uint8", 3, int_val=[1, 300, -1]),
    "unknown rank with a shape": tensor("string", 2, unknown_rank=True, string_val=[b"a", b"b"]),
    "unknown rank without one": tensor("string", unknown_rank=True, string_val=[b"a"]),
    "strings after their lengths": tensor("string", 3, tensor_content=LENGTHS),
    "bytes of numbers": tensor("float64", 2, tensor_content=np.array([0.5, 2]).tobytes()),
    "bytes of no numbers": tensor("float32", 0, 3),
    "half": tensor("float16", 2, half_val=[15360]),
    "no type": tensor_pb2.TensorProto(),
    "a negative size": tensor("string", -1, string_val=[b"a"]),
    "sizes beyond all numbers": tensor("string", 2**40, 2**40, string_val=[b"a"]),
    "too many axes": tensor("float32", *[1] * 255, float_val=[1]),
    "bytes beyond the strings": tensor("string", 3, tensor_content=LENGTHS + b"d"),
    "lengths alone": tensor("string", 3, tensor_content=b"\x80"),
    "no length": tensor("string", 1, tensor_content=b"\xff" * 6),
    "part of a number": tensor("float32", 2, tensor_content=bytes(7)),
}


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


def as_tensorflow(proto):
    """Returns what TensorFlow itself makes of a proto, that of a constant; None where it fails."""
    graph = tf.compat.v1.GraphDef()
    node = graph.node.add(op="Const", name="constant")
    node.attr["dtype"].type = proto.dtype
    node.attr["value"].tensor.CopyFrom(proto)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        try:
            (operation,) = tf.import_graph_def(graph, return_elements=["constant"])
            return session.run(operation.outputs[0])
        except (ValueError, tf.errors.OpError):
            return None


def as_server(proto):
    try:
        return tensors.to_array("x", proto)
    except Refused:
        return None


@pytest.mark.parametrize("proto", READ.values(), ids=READ)
def test_a_tensor_is_read_as_tensorflow_reads_it(proto):
    expected, received = as_tensorflow(proto), as_server(proto)
    if expected is None:
        assert received is None
    else:
        assert received.dtype == np.asarray(expected).dtype or received.dtype == object
        assert (received.shape, received.tolist()) == (
            np.shape(expected),
            np.asarray(expected).tolist(),
        )


@pytest.mark.parametrize("unknown_rank", [False, True])
def test_strings_after_their_lengths_are_predicted(call, unknown_rank):
    images = jpegs(2)
    lengths = b"".join(bytes([len(image) & 127 | 128, len(image) >> 7]) for image in images)
    proto = tensor(
        "string", 2, unknown_rank=unknown_rank, tensor_content=lengths + b"".join(images)
    )
    answer = arrays(call(predict(image_bytes=proto)))
    expected = arrays(call(predict(image_bytes=images)))
    assert answer["classes"].tolist() == expected["classes"].tolist()


TOO_MANY = {
    "pixels": (predict("predict_images", images=tensor("float32", 1001, 32, 32, 3)), 1001),
    "images": (predict(image_bytes=tensor("string", 5_000_000, string_val=[b""])), 5_000_000),
    "taus": (
        predict("predict_tau", image_bytes=[b""], tau=tensor("float32", 2**60, float_val=[0.5])),
        2**60,
    ),
    "examples": (classify("classify", *[b""] * 1001), 1001),
}


@pytest.mark.parametrize(("request_", "count"), TOO_MANY.values(), ids=TOO_MANY)
def test_too_many_images_are_refused_before_they_take_memory(begin, request_, count):
    code, message = refusal(begin(request_))
    assert code.name == "INVALID_ARGUMENT"
    assert message == (
        f"A request has at most --max_images_per_request=1000 images. Received: {count}. "
        "Send fewer at a time, or start the server with a greater number."
    )


def test_as_many_images_as_are_allowed_are_answered(call):
    answer = arrays(call(predict("", ["status"], image_bytes=tensor("string", 1000))))
    assert answer["status"].shape == (1000,)


def test_what_is_repeated_is_bounded(begin):
    with pytest.raises(Refused, match=r"shape \(1000, 224, 224, 3\) takes 602112000 bytes"):
        tensors.to_array("images", tensor("float32", 1000, 224, 224, 3, float_val=[1]))
    request = ClassificationRequest(model_spec=spec("classify"))
    both = request.input.example_list_with_context
    both.context.CopyFrom(example(bytes(200_000)))
    for _ in range(400):
        both.examples.add()
    code, message = refusal(begin(request))
    assert (code.name, message[:35]) == ("INVALID_ARGUMENT", "The context of all examples takes 8")
