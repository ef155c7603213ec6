"""What the server refuses, and in whose words: TensorFlow Serving's, over gRPC."""

import grpc
import numpy as np
import pytest
from serving_fixtures import (
    Queue,
    batching,
    classify,
    config,
    jpegs,
    predict,
    refusal,
    server,
    spec,
    tensor,
)
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

from tfgates.base.errors import UserError

pytest_plugins = ["serving_fixtures"]

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
NO_NAME = "ModelSpec has no name specified."
SIZE = "input size does not match signature: "
STRINGS = "Input image_bytes has type string and shape (None,). Received: "
PIXELS = "Input images has type float32 and shape (None, 32, 32, 3). Received: "
WRONG_SPECS = {
    "no name": (ModelSpec(), INVALID, NO_NAME),
    "model": (ModelSpec(name="x"), NOT_FOUND, "Servable not found for request: Latest(x)"),
    "version": (
        spec(version={"value": 9}),
        NOT_FOUND,
        "Servable not found for request: Specific(gated, 9)",
    ),
    "label": (
        spec(version_label="canary"),
        INVALID,
        "Unrecognized servable version label: canary",
    ),
}
UNKNOWN_STATUS = {
    "no name": (ModelSpec(), NOT_FOUND, "Could not find any versions of model "),
    "model": (ModelSpec(name="x"), NOT_FOUND, "Could not find any versions of model x"),
    "version": (
        spec(version={"value": 9}),
        NOT_FOUND,
        "Could not find version 9 of model gated",
    ),
}
INVALID_REQUESTS = [
    (classify("nope", b""), "No signature was found with the name: nope"),
    (classify("", b""), "Expected one or two output Tensors, found 7"),
    (classify("predict_tau", b""), "Expected one input Tensor."),
    (classify("classify"), "Input is empty."),
    (
        predict(),
        SIZE + "0!=1 len({}) != len({image_bytes}). "
        "Sent extra: {}. Missing but required: {image_bytes}.",
    ),
    (
        predict("predict_tau", image_bytes=[b""]),
        SIZE + "1!=2 len({image_bytes}) != len({image_bytes,tau}). "
        "Sent extra: {}. Missing but required: {tau}.",
    ),
    (
        predict(image_bytes=[b""], tau=[0.5]),
        SIZE + "2!=1 len({image_bytes,tau}) != len({image_bytes}). "
        "Sent extra: {tau}. Missing but required: {}.",
    ),
    (
        predict(image=[b""]),
        "Signature input alias: image_bytes(feed name: serving_default_image_bytes:0) not found in "
        "request and no default value provided. Inputs expected to be in the request {image}, or "
        "default input alias set: ",
    ),
    (
        predict("", ["gates", "zz"], image_bytes=[b""]),
        "output tensor alias not found in signature: zz Outputs expected to be in the set "
        "{class_ids,classes,gates,macs,macs_full,scores,status}.",
    ),
    (
        predict("", ["gates", "macs", "gates"], image_bytes=[b""]),
        "duplicate output tensor alias: gates",
    ),
    (
        GetModelMetadataRequest(model_spec=spec()),
        "GetModelMetadataRequest must specify at least one metadata_field",
    ),
    (
        GetModelMetadataRequest(model_spec=spec(), metadata_field=["zz"]),
        "Metadata field zz is not supported",
    ),
    (predict(image_bytes=[1.5, 2.5]), STRINGS + "type float32, shape (2,)."),
    (predict(image_bytes=b""), STRINGS + "type string, shape ()."),
    (predict(image_bytes=tensor("resource", 1)), STRINGS + "type resource, shape (1,)."),
    (
        predict("__saved_model_init_op"),
        "Tried to fetch data for 'NoOp', which produces no output.  To run to a node but not fetch "
        "any data, pass 'NoOp' as an argument to the 'target_node_names' argument of the "
        "Session::Run API.",
    ),
    (
        predict("predict_images", images=np.zeros([2, 16, 32, 3], "float32")),
        PIXELS + "type float32, shape (2, 16, 32, 3).",
    ),
]


UNSOUND = {
    "no type": tensor_pb2.TensorProto(),
    "bytes for strings": tensor("string", 2, tensor_content=bytes(16)),
    "size of no number": tensor("string", -1, string_val=[b"a"]),
    "shape beyond all numbers": tensor("string", 2**40, 2**40, string_val=[b"a"]),
}


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


KINDS = {
    PredictRequest: {},
    ClassificationRequest: {},
    GetModelMetadataRequest: {"metadata_field": ["signature_def"]},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("wrong", "code", "message"), WRONG_SPECS.values(), ids=WRONG_SPECS)
def test_another_model_is_refused(begin, kind, wrong, code, message):
    assert refusal(begin(kind(model_spec=wrong, **KINDS[kind]))) == (code, message)


@pytest.mark.parametrize("kind", [*KINDS, GetModelStatusRequest])
def test_a_request_for_no_model_is_refused(begin, kind):
    assert refusal(begin(kind())) == (INVALID, "Missing ModelSpec")


def test_the_fields_of_metadata_are_judged_before_the_model(begin):
    request = GetModelMetadataRequest(model_spec=ModelSpec(name="x"))
    message = "GetModelMetadataRequest must specify at least one metadata_field"
    assert refusal(begin(request)) == (INVALID, message)


@pytest.mark.parametrize(("wrong", "code", "message"), UNKNOWN_STATUS.values(), ids=UNKNOWN_STATUS)
def test_another_model_has_no_status(begin, wrong, code, message):
    assert refusal(begin(GetModelStatusRequest(model_spec=wrong))) == (code, message)


def test_an_unknown_signature_is_a_failed_precondition_of_predict(begin):
    code, message = refusal(begin(predict("nope", image_bytes=[b""])))
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert message == 'Serving signature key "nope" not found.'


@pytest.mark.parametrize(("request_", "message"), INVALID_REQUESTS)
def test_an_invalid_request_is_refused(begin, request_, message):
    assert refusal(begin(request_)) == (INVALID, message)


@pytest.mark.parametrize("proto", UNSOUND.values(), ids=UNSOUND)
def test_an_unsound_tensor_is_refused(begin, proto):
    refused = refusal(begin(predict(image_bytes=proto)))
    assert refused == (INVALID, "tensor parsing error: image_bytes")


@pytest.mark.parametrize("count", [1, 3])
def test_as_many_taus_as_images(begin, count):
    request = predict("predict_tau", image_bytes=jpegs(2), tau=np.full(count, 0.5, "float32"))
    code, message = refusal(begin(request))
    assert code == INVALID
    assert "tau has one number for each image" in message


def test_a_long_message_is_cut_as_the_real_server_cuts_it(begin):
    code, message = refusal(begin(predict("", ["é" * 10_000], image_bytes=[b""])))
    start = "output tensor alias not found in signature: "
    assert (code, message[: len(start)], message[-12:]) == (INVALID, start, "...TRUNCATED")
    assert len(message.encode()) == 1024 + 12
    code, message = refusal(begin(GetModelStatusRequest(model_spec=ModelSpec(name="x" * 10_000))))
    expected = "Could not find any versions of model ".ljust(1024, "x")
    assert (code, message) == (NOT_FOUND, expected + "...TRUNCATED")


def test_bytes_that_are_no_example_are_their_senders_fault(begin, call):
    for bad in (b"\xff\xff\xff", b"text"):
        code, message = refusal(begin(predict("classify", inputs=[bad])))
        assert code == INVALID
        assert "Could not parse example input" in message
    assert len(call(predict(image_bytes=jpegs(1))).outputs) == 7


def test_a_folder_that_cannot_be_is_its_senders_fault(begin):
    request = ReloadConfigRequest()
    request.config.model_config_list.config.extend(config.one_model("gated", "a\0b"))
    code, message = refusal(begin(request))
    assert (code, "holds no model version" in message) == (INVALID, True)


def test_other_calls_are_unimplemented(begin):
    code, _ = refusal(begin(RegressionRequest(model_spec=spec())))
    assert code == grpc.StatusCode.UNIMPLEMENTED


def test_a_taken_port_is_refused(address):
    port = int(address.rpartition(":")[2])
    with pytest.raises(UserError, match=f"--port={port} is taken on 127.0.0.1"):
        server.Server(None, None, Queue(batching.Batching()), port=port)
