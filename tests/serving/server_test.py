"""The server over gRPC, asked with TensorFlow Serving's own stubs."""

import grpc
import numpy as np
import ovmsclient
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from serving_fixtures import BROKEN, arrays, assert_same, classify, example, jpegs, predict, spec
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest, SignatureDefMap
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest, ModelVersionStatus

from tfgates.data.preprocess import RESIZES, Preprocessing
from tfgates.export.savedmodel import BAD_IMAGE, BAD_TAU

pytest_plugins = ["serving_fixtures"]


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


@pytest.mark.parametrize("resize", RESIZES)
def test_scaled_pixels_of_white_and_black_are_sound(call, resize):
    preprocessing = Preprocessing(32, resize)
    pictures = [
        np.full([side, side + 9, 3], 255 * white, "uint8")
        for side in (17, 33, 50, 77, 101, 224)
        for white in (0, 1)
    ]
    images = np.stack([preprocessing(tf.io.encode_png(picture)) for picture in pictures])
    answer = arrays(call(predict("predict_images", images=images)))
    assert answer["status"].tolist() == [b"OK"] * len(pictures)


def test_no_images_get_no_answers(call):
    answer = arrays(call(predict(image_bytes=tf.make_tensor_proto([], tf.string))))
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


@pytest.mark.parametrize(
    "service",
    ["", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"],
)
def test_the_server_is_healthy(address, service):
    with grpc.insecure_channel(address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        answer = check(HealthCheckRequest(service=service), timeout=60)
    assert answer.status == HealthCheckResponse.SERVING


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
