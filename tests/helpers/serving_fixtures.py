"""One small exported model behind one server in this process, for the tests of serving/.

PYTEST_DONT_REWRITE: there is no assertion here.
"""

import contextlib
import pathlib

import grpc
import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import PREPROCESSING, ROOT, STATISTICS, open_half
from tensorflow.core.example import example_pb2, feature_pb2
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

import tfgates
import tfgates.tools.serve
from tfgates.export.publish import publish
from tfgates.export.savedmodel import ServedModel
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates_server import batching, config, server
from tfgates_server.models import Models
from tfgates_server.queueing import Queue
from tfgates_server.watcher import Watcher

SERVING = ROOT / "serving"
BROKEN = b"These bytes are no image."


def jpegs(count):
    """Returns the bytes of coloured checkerboards, 32x32, every one different."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(count):
        squares = (255 * rng.random((4, 4, 3)) * rng.random(3)).astype("uint8")
        images.append(tf.io.encode_jpeg(squares.repeat(8, 0).repeat(8, 1), quality=95).numpy())
    return images


def spec(signature="", **version):
    return ModelSpec(name="gated", signature_name=signature, **version)


def predict(signature="", output_filter=(), **inputs):
    """Returns a request; inputs are `TensorProto`s, or what TensorFlow makes them of."""
    request = PredictRequest(model_spec=spec(signature), output_filter=list(output_filter))
    for name, value in inputs.items():
        is_proto = isinstance(value, tensor_pb2.TensorProto)
        request.inputs[name].CopyFrom(value if is_proto else tf.make_tensor_proto(value))
    return request


def tensor(dtype, *shape, unknown_rank=False, **values):
    """Returns a TensorProto, sound or not."""
    proto = tensor_pb2.TensorProto(dtype=tf.as_dtype(dtype).as_datatype_enum, **values)
    proto.tensor_shape.unknown_rank = unknown_rank
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def example(image):
    """Returns a `tf.Example` that holds an encoded image."""
    feature = feature_pb2.Feature(bytes_list=feature_pb2.BytesList(value=[image]))
    return example_pb2.Example(features=feature_pb2.Features(feature={"image_bytes": feature}))


def classify(signature, *images):
    request = ClassificationRequest(model_spec=spec(signature))
    request.input.example_list.examples.extend(map(example, images))
    return request


def arrays(response):
    """Returns the outputs of Predict as NumPy arrays by name."""
    return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}


@pytest.fixture(scope="session")
def version(tmp_path_factory):
    """Path of an exported model whose gates open for half of the images of `jpegs(40)` each."""
    keras.utils.set_random_seed(11)
    rng = np.random.default_rng(11)
    network = tfgates.gate(cifar_resnet(8, 10, statistics=STATISTICS), seed=1)
    open_half(network, tf.stack([PREPROCESSING(image) for image in jpegs(40)]), seed=11)
    kernel = network.get_layer("classifier").kernel
    kernel.assign(rng.normal(0, 1, kernel.shape))
    model = ServedModel(network, PREPROCESSING, [f"class {index}" for index in range(10)])
    return publish(model, tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="session")
def ask(version):
    """Function (signature, **inputs) -> NumPy arrays by name: the SavedModel without a server."""
    loaded = tf.saved_model.load(str(version))

    def ask_directly(signature, **inputs):
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        outputs = loaded.signatures[signature](**tensors)
        return {name: value.numpy() for name, value in outputs.items()}

    return ask_directly


def assert_same(answer, expected):
    """The same names with the same values; scores but for rounding."""
    np.testing.assert_equal(sorted(answer), sorted(expected))
    for name, array in answer.items():
        np.testing.assert_equal(array.dtype, expected[name].dtype)
        if name == "scores":
            np.testing.assert_allclose(array, expected[name], rtol=1e-5)
        else:
            np.testing.assert_array_equal(array, expected[name])


class Embedded:
    """The embedded server in this process.

    Attributes:
        models, watcher, queue, server: its parts.
        address: HOST:PORT.
    """

    def __init__(
        self,
        configs,
        merging=None,
        load=server.load,
        threads=1,
        bound=100,
        max_images=1000,
        **of_watcher,
    ):
        self.models = Models()
        self.watcher = Watcher(self.models, load, **of_watcher)
        self.watcher.configure(configs)
        self.queue = Queue(merging or batching.Batching(threads=threads), bool(merging), bound)
        self.server = server.Server(self.models, self.watcher, self.queue, max_images=max_images)
        self.address = f"127.0.0.1:{self.server.port}"


@contextlib.contextmanager
def serving(*arguments, **options):
    """Runs an `Embedded` while the block runs."""
    embedded = Embedded(*arguments, **options)
    try:
        yield embedded
    finally:
        embedded.server.stop(10)


@contextlib.contextmanager
def calling(address):
    """Gives a function request -> the call of its kind, begun with TensorFlow Serving's stubs."""
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        methods = {
            PredictRequest: prediction.Predict,
            ClassificationRequest: prediction.Classify,
            RegressionRequest: prediction.Regress,
            GetModelMetadataRequest: prediction.GetModelMetadata,
            GetModelStatusRequest: models.GetModelStatus,
            ReloadConfigRequest: models.HandleReloadConfigRequest,
        }
        yield lambda request, timeout=60: methods[type(request)].future(request, timeout=timeout)


def refusal(begun):
    """Returns the status code and the message with which a call is refused."""
    with pytest.raises(grpc.RpcError) as error:
        begun.result()
    return error.value.code(), error.value.details()


@pytest.fixture(scope="session")
def address(version):
    """HOST:PORT of a server of the exported model, in this process."""
    with serving(config.one_model("gated", str(version.parent))) as embedded:
        yield embedded.address


@pytest.fixture(scope="session")
def begin(address):
    """Function request -> the call of its kind, begun."""
    with calling(address) as begin_call:
        yield begin_call


@pytest.fixture(scope="session")
def call(begin):
    """Function request -> the server's answer."""
    return lambda request: begin(request).result()


@pytest.fixture
def image_files(tmp_path):
    """Function count -> paths of as many JPEG files with the images of `jpegs`."""

    def write(count) -> list[pathlib.Path]:
        paths = [tmp_path / f"{index}.jpg" for index in range(count)]
        for path, image in zip(paths, jpegs(count), strict=True):
            path.write_bytes(image)
        return paths

    return write
