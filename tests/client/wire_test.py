"""The private Predict messages against TensorFlow Serving's own."""

import numpy as np
import pytest
import tensorflow as tf
from examples import ROOT, run_script
from google.protobuf import wrappers_pb2
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_service_pb2

from tfgates_client import wire

WIRE = ROOT / "tfgates_client/wire"
MESSAGES = wire.PredictRequest.DESCRIPTOR.file.message_types_by_name
ARRAYS = {
    "float32": np.array([1.5, -2.25, np.inf, 0], "float32"),
    "float32, one value": np.array([[0.1]], "float32"),
    "float32, 2-D": np.arange(6, dtype="float32").reshape(2, 3) / 7,
    "float32, scalar": np.array(-0.5, "float32"),
    "float32, empty": np.zeros([0, 5], "float32"),
    "int32": np.array([1, -1, 2**31 - 1, -(2**31)], "int32"),
    "int32, one value": np.array([-7], "int32"),
    "int32, 2-D": np.arange(6, dtype="int32").reshape(3, 2),
    "int64": np.array([1, -1, 2**63 - 1, -(2**63)], "int64"),
    "int64, 2-D": np.arange(6, dtype="int64").reshape(3, 2),
    "float64": np.array([0.1, -np.inf, 1e300]),
    "float64, one value": np.array([0.1]),
    "bool": np.array([True, False, True]),
    "bool, one value": np.array([True]),
    "bool, 2-D": np.array([[True, False], [False, False], [True, True]]),
    "string": np.array([b"a", b"", b"\x00\xff\x00"], object),
    "string, 2-D": np.array([[b"a", b"bc"], [b"", b"d\x00"]], object),
    "string, empty": np.zeros([0], object),
}
LISTS = {
    "float32": ("float_val", [0.5, -1.25]),
    "int32": ("int_val", [7, -8]),
    "int64": ("int64_val", [2**40, -8]),
    "float64": ("double_val", [0.1, -1e300]),
    "bool": ("bool_val", [True, False]),
    "string": ("string_val", [b"a", b"\xff"]),
}


@pytest.fixture(autouse=True)
def fresh_keras():
    """Keras is not used here, and clearing it takes a tenth of a second each time."""


def decoded(proto):
    """What the client makes of the bytes of a real TensorProto."""
    response = predict_pb2.PredictResponse(outputs={"x": proto}).SerializeToString()
    return wire.to_array(wire.PredictResponse.FromString(response).outputs["x"])


def with_shape(dtype, *shape, **values):
    proto = tensor_pb2.TensorProto(dtype=tf.as_dtype(dtype).as_datatype_enum, **values)
    dims = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in shape]
    proto.tensor_shape.dim.extend(dims)
    return proto


def test_the_descriptor_is_compiled_from_the_proto(tmp_path):
    compiled = tmp_path / "predict.binpb"
    # In this process the compiler's protobuf would meet TensorFlow's, and crash.
    arguments = [f"-I{WIRE}", f"--descriptor_set_out={compiled}", "predict.proto"]
    assert run_script("-m", "grpc_tools.protoc", *arguments).returncode == 0
    assert compiled.read_bytes() == (WIRE / "predict.binpb").read_bytes()


@pytest.mark.parametrize(
    ("mine", "real"),
    [
        (MESSAGES["Shape"].nested_types_by_name["Dim"], tensor_shape_pb2.TensorShapeProto.Dim),
        (MESSAGES["Shape"], tensor_shape_pb2.TensorShapeProto),
        (MESSAGES["Tensor"], tensor_pb2.TensorProto),
        (MESSAGES["Int64Value"], wrappers_pb2.Int64Value),
        (MESSAGES["ModelSpec"], model_pb2.ModelSpec),
        (MESSAGES["PredictRequest"], predict_pb2.PredictRequest),
        (MESSAGES["PredictResponse"], predict_pb2.PredictResponse),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_fields_are_those_of_tensorflow_serving(mine, real):
    assert len(mine.fields) > 0
    for field in mine.fields:
        theirs = real.DESCRIPTOR.fields_by_name[field.name]
        assert (field.number, field.is_repeated) == (theirs.number, theirs.is_repeated)
        # An enum travels as an int32.
        kind = field.TYPE_INT32 if theirs.type == field.TYPE_ENUM else theirs.type
        assert field.type == kind
        mine_of, theirs_of = field.containing_oneof, theirs.containing_oneof
        assert (mine_of and mine_of.name) == (theirs_of and theirs_of.name)
        if field.message_type and not field.message_type.GetOptions().map_entry:
            twin = {"Shape": "TensorShapeProto", "Tensor": "TensorProto"}
            name = field.message_type.name
            assert twin.get(name, name) == theirs.message_type.name


def test_the_method_is_tensorflow_servings():
    service = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"]
    assert f"/{service.full_name}/{service.methods_by_name['Predict'].name}" == wire.PREDICT


def test_a_request_means_the_same_to_tensorflow_serving():
    request = wire.PredictRequest()
    request.model_spec.name = "gated"
    request.model_spec.signature_name = "predict_tau"
    wire.set_strings(request.inputs["image_bytes"], [b"\xff\xd8\x00", b"", b"b"])
    request.model_spec.version.value = 7
    wire.set_floats(request.inputs["tau"], [0.5, 0.25, 0.1])
    real = predict_pb2.PredictRequest.FromString(request.SerializeToString())
    assert (real.model_spec.name, real.model_spec.signature_name) == ("gated", "predict_tau")
    assert (real.model_spec.version.value, list(real.output_filter)) == (7, [])
    assert set(real.inputs) == {"image_bytes", "tau"}
    assert real.inputs["image_bytes"].dtype == tf.string.as_datatype_enum
    assert real.inputs["tau"].dtype == tf.float32.as_datatype_enum
    images, tau = (tf.make_ndarray(real.inputs[name]) for name in ("image_bytes", "tau"))
    np.testing.assert_array_equal(images, np.array([b"\xff\xd8\x00", b"", b"b"], object))
    np.testing.assert_array_equal(tau, np.array([0.5, 0.25, 0.1], "float32"))
    assert wire.PredictRequest.FromString(real.SerializeToString()) == request


def test_a_version_label_means_the_same_and_excludes_a_version():
    spec = wire.PredictRequest().model_spec
    spec.version.value = 7
    spec.version_label = "canary"
    real = model_pb2.ModelSpec.FromString(spec.SerializeToString())
    assert real.WhichOneof("version_choice") == "version_label"
    assert real.version_label == "canary"


@pytest.mark.parametrize("name", ARRAYS)
def test_tensors_of_tensorflow_are_decoded(name):
    array = decoded(tf.make_tensor_proto(ARRAYS[name]))
    assert (array.shape, array.dtype) == (ARRAYS[name].shape, ARRAYS[name].dtype)
    np.testing.assert_array_equal(array, ARRAYS[name])


@pytest.mark.parametrize("dtype", LISTS)
@pytest.mark.parametrize("shape", [(2,), (5,), (2, 3)])
def test_a_list_of_values_repeats_its_last(dtype, shape):
    field, (first, last) = LISTS[dtype]
    proto = with_shape(dtype, *shape, **{field: [first, last]})
    expected = np.full(shape, last, tf.as_dtype(dtype).as_numpy_dtype)
    expected.flat[0] = first
    array = decoded(proto)
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)
    np.testing.assert_array_equal(array, tf.make_ndarray(proto))


@pytest.mark.parametrize("dtype", LISTS)
def test_one_value_for_a_whole_shape_is_repeated(dtype):
    value = LISTS[dtype][1][0]
    array = decoded(tf.make_tensor_proto(value, tf.as_dtype(dtype), shape=[2, 3]))
    assert array.tolist() == [[value] * 3] * 2


@pytest.mark.parametrize("dtype", ["uint8", "float16", "int8"])
def test_an_unknown_type_is_refused(dtype):
    number = tf.as_dtype(dtype).as_datatype_enum
    with pytest.raises(ValueError, match=f"unknown type {number}"):
        decoded(tf.make_tensor_proto(np.zeros(2, dtype)))


def test_an_answer_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="unknown type 0"):
        wire.to_array(wire.PredictResponse().outputs["scores"])


@pytest.mark.parametrize("dtype", LISTS)
def test_a_tensor_without_values_is_refused(dtype):
    with pytest.raises(ValueError, match=r"shape \(2, 3\) without values"):
        decoded(with_shape(dtype, 2, 3))


@pytest.mark.parametrize(
    "proto",
    [
        with_shape("float32", 2, float_val=[1, 2, 3]),
        with_shape("float32", 2, tensor_content=bytes(12)),
        with_shape("float32", 2, tensor_content=bytes(7)),
        with_shape("string", 2, tensor_content=bytes(8)),
        with_shape("float32", -1, float_val=[1]),
        with_shape("float32", 2, -3, float_val=[1]),
        with_shape("float32", 2**62, float_val=[1]),
        with_shape("bool", 2**62, 2**62, bool_val=[True]),
        with_shape("float32", 2, 2**30, float_val=[1]),
        with_shape("float32", 2**62, 4, tensor_content=bytes(8)),
    ],
    ids=[
        *("three values", "three values' bytes", "part of a value", "bytes of strings"),
        *("less than nothing", "less than nothing in a row", "2^62", "2^124", "8 GB", "2^64 bytes"),
    ],
)
def test_values_that_do_not_fill_the_shape_are_refused(proto):
    with pytest.raises(ValueError, match=r"."):
        decoded(proto)
