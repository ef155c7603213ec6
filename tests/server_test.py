"""The server over gRPC, asked with TensorFlow Serving's own stubs."""

import grpc
import numpy as np
import ovmsclient
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from serving_fixtures import (
    BROKEN,
    Queue,
    arrays,
    assert_same,
    batching,
    classify,
    example,
    jpegs,
    predict,
    refusal,
    server,
    spec,
)
from tensorflow.core.example import example_pb2
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest, SignatureDefMap
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest, ModelVersionStatus
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

from tfgates.errors import UserError
from tfgates.export.savedmodel import BAD_IMAGE, BAD_TAU

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
    (
        predict("predict_images", images=np.zeros([2, 16, 32, 3], "float32")),
        PIXELS + "type float32, shape (2, 16, 32, 3).",
    ),
]


def tensor(dtype, *shape, **values):
    """Returns a TensorProto, sound or not."""
    proto = tensor_pb2.TensorProto(dtype=tf.as_dtype(dtype).as_datatype_enum, **values)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


UNSOUND = {
    "no type": tensor_pb2.TensorProto(),
    "type of no value": tensor("resource", 1),
    "too many values": tensor("string", 1, string_val=[b"a", b"b"]),
    "bytes for strings": tensor("string", 2, tensor_content=bytes(16)),
    "number out of range": tensor("uint8", 1, int_val=[300]),
    "size of no number": tensor("string", -1, string_val=[b"a"]),
    "shape beyond all memory": tensor("string", 10**15, string_val=[b"a"]),
}


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


def test_the_images_of_these_tests_differ_in_their_gates(ask):
    answer = ask("serving_default", image_bytes=jpegs(8))
    assert len({tuple(gates) for gates in answer["gates"].tolist()}) > 2
    assert len(set(answer["macs"].tolist())) > 2
    assert len(set(answer["classes"][:, 0])) > 1


@pytest.mark.parametrize("signature", ["", "serving_default"])
def test_predict_answers_as_the_saved_model_does(call, ask, signature):
    response = call(predict(signature, image_bytes=jpegs(8)))
    assert_same(arrays(response), ask("serving_default", image_bytes=jpegs(8)))
    assert response.model_spec == spec("serving_default", version={"value": 1})


def test_each_image_is_predicted_at_its_own_tau(call, ask):
    tau = np.array([0.01, 0.99, 0.5, 0.3, 0.7, 0, 1, np.nan], "float32")
    answer = arrays(call(predict("predict_tau", image_bytes=jpegs(8), tau=tau)))
    assert_same(answer, ask("predict_tau", image_bytes=jpegs(8), tau=tau))
    assert answer["status"].tolist() == [b"OK"] * 5 + [BAD_TAU.encode()] * 3


def test_raw_pixels_are_predicted(call, ask):
    images = np.random.default_rng(1).uniform(0, 255, (4, 32, 32, 3)).astype("float32")
    images[1, 0, 0, 0] = 256
    answer = arrays(call(predict("predict_images", images=images)))
    assert_same(answer, ask("predict_images", images=images))
    assert (answer["status"] == b"OK").tolist() == [True, False, True, True]


def test_no_images_get_no_answers(call):
    answer = arrays(call(predict(image_bytes=tensor("string", 0))))
    shapes = {name: array.shape for name, array in answer.items()}
    ranked = dict.fromkeys(["classes", "scores", "class_ids"], (0, 5))
    assert shapes == {**ranked, "gates": (0, 3), "macs": (0,), "macs_full": (0,), "status": (0,)}


def test_the_output_filter_selects(call, ask):
    response = call(predict("", ["gates", "macs"], image_bytes=jpegs(8)))
    direct = ask("serving_default", image_bytes=jpegs(8))
    assert_same(arrays(response), {name: direct[name] for name in ("gates", "macs")})


def test_a_broken_image_leaves_its_neighbours_alone(call):
    images = jpegs(7)
    without = arrays(call(predict(image_bytes=images)))
    answer = arrays(call(predict(image_bytes=[*images[:3], BROKEN, *images[3:]])))
    assert_same({name: np.delete(array, 3, 0) for name, array in answer.items()}, without)
    broken = {name: array[3] for name, array in answer.items()}
    assert broken["status"] == BAD_IMAGE.encode()
    assert broken["classes"].tolist() == [b""] * 5
    assert broken["class_ids"].tolist() == [-1] * 5
    assert broken["gates"].tolist() == [False] * 3
    assert (broken["scores"].sum(), broken["macs"]) == (0, 0)


def test_eight_requests_at_once_get_their_own_answers(begin, ask):
    images = np.array(jpegs(8), object)
    expected = ask("serving_default", image_bytes=images)
    orders = [np.roll(np.arange(8), shift) for shift in range(8)]
    calls = [begin(predict(image_bytes=images[order])) for order in orders]
    for order, begun in zip(orders, calls, strict=True):
        in_order = {name: array[order] for name, array in expected.items()}
        assert_same(arrays(begun.result()), in_order)


def test_classify_gives_the_classes_and_scores_of_predict(call):
    images = [*jpegs(5), BROKEN]
    predicted = arrays(call(predict(image_bytes=images)))
    response = call(classify("classify", *images))
    assert response.model_spec == spec("classify", version={"value": 1})
    rows = [answer.classes for answer in response.result.classifications]
    labels = [[entry.label.encode() for entry in row] for row in rows]
    scores = [[entry.score for entry in row] for row in rows]
    assert labels == predicted["classes"].tolist()
    np.testing.assert_allclose(scores, predicted["scores"], rtol=1e-5)


def test_classify_lends_the_context_to_examples_without_an_image(call):
    first, second = jpegs(2)
    request = ClassificationRequest(model_spec=spec("classify"))
    both = request.input.example_list_with_context
    both.context.CopyFrom(example(first))
    both.examples.extend([example_pb2.Example(), example(second)])
    assert call(request) == call(classify("classify", first, second))


def test_metadata_lists_the_signatures_with_their_inputs(call):
    response = call(GetModelMetadataRequest(model_spec=spec(), metadata_field=["signature_def"]))
    assert response.model_spec == spec(version={"value": 1})
    definitions = SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(definitions)
    inputs = {name: set(one.inputs) for name, one in definitions.signature_def.items()}
    # TensorFlow's own, without inputs.
    inputs.pop("__saved_model_init_op", None)
    assert inputs == {
        "serving_default": {"image_bytes"},
        "predict_tau": {"image_bytes", "tau"},
        "predict_images": {"images"},
        "classify": {"inputs"},
    }


@pytest.mark.parametrize("model_spec", [spec(), spec(version={"value": 1})], ids=["latest", "1"])
def test_status_is_available(call, model_spec):
    (state,) = call(GetModelStatusRequest(model_spec=model_spec)).model_version_status
    assert (state.version, state.state) == (1, ModelVersionStatus.AVAILABLE)


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


def test_other_calls_are_unimplemented(begin):
    code, _ = refusal(begin(RegressionRequest(model_spec=spec())))
    assert code == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "service",
    ["", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"],
)
def test_the_server_is_healthy(address, service):
    with grpc.insecure_channel(address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        answer = check(HealthCheckRequest(service=service), timeout=60)
    assert answer.status == HealthCheckResponse.SERVING


def test_a_taken_port_is_refused(address):
    port = int(address.rpartition(":")[2])
    with pytest.raises(UserError, match=f"--port={port} is taken on 127.0.0.1"):
        server.Server(None, None, Queue(batching.Batching()), port=port)


def test_an_independent_client_gets_status_metadata_and_predictions(address, ask):
    client = ovmsclient.make_grpc_client(address)
    status = client.get_model_status("gated", model_version=1)
    assert status == {1: {"state": "AVAILABLE", "error_code": 0, "error_message": ""}}
    metadata = client.get_model_metadata("gated", model_version=1)
    assert metadata["model_version"] == 1
    assert set(metadata["inputs"]) == {"image_bytes"}
    assert metadata["outputs"]["scores"]["dtype"] == "DT_FLOAT"
    answer = client.predict({"image_bytes": jpegs(8)}, "gated", model_version=1)
    for name in ("classes", "status"):
        answer[name] = answer[name].astype(object)
    assert_same(answer, ask("serving_default", image_bytes=jpegs(8)))
