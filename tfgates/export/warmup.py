"""Requests that a server sends to a new version of a model before it answers anybody's.

The first request of a kind takes seconds: TensorFlow prepares the graph and the weights then. The
requests are those of every signature, with all outputs, of one image and of eight.
"""

import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

FILE = "tf_serving_warmup_requests"
BATCHES = (1, 8)


def requests(size, tau, model_name="gated", exit_tau=None):
    """Makes warm-up requests for every signature.

    Args:
        size: height and width of the images in pixels.
        tau: threshold of all images.
        model_name: under which the model will be served.
        exit_tau: threshold of the exits of a model with exits.

    Returns:
        Bytes of a TFRecord of `PredictionLog`, the content of assets.extra/`FILE`.
    """
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / FILE
        with tf.io.TFRecordWriter(str(path)) as writer:
            for count in BATCHES:
                pictures = [_picture(rng, size) for _ in range(count)]
                for log in _logs(model_name, pictures, tau, exit_tau):
                    writer.write(log.SerializeToString())
        return path.read_bytes()


def of_model(model):
    """Makes those of a `ServedModel`; see `requests`."""
    exit_tau = model.exit_tau if model.exits else None
    return requests(model.preprocessing.size, model.tau, exit_tau=exit_tau)


def _picture(rng, size):
    """Coloured squares, which open other gates than grey ones would."""
    squares = (255 * rng.random((8, 8, 3)) * rng.random(3)).astype("uint8")
    return tf.image.resize(squares, [size, size], "nearest").numpy()


def _logs(model_name, pictures, tau, exit_tau):
    encoded = [tf.io.encode_jpeg(picture).numpy() for picture in pictures]
    taus = np.full(len(pictures), tau, "float32")
    images = np.stack(pictures).astype("float32")
    yield _predict(model_name, "serving_default", image_bytes=encoded)
    yield _predict(model_name, "predict_tau", image_bytes=encoded, tau=taus)
    yield _predict(model_name, "predict_images", images=images)
    if exit_tau is not None:
        own = {"image_bytes": encoded, "exit_tau": np.full(len(pictures), exit_tau, "float32")}
        yield _predict(model_name, "predict_exit_tau", **own)
        yield _predict(model_name, "predict_taus", tau=taus, **own)
    log = prediction_log_pb2.PredictionLog()
    request = log.classify_log.request
    request.model_spec.name, request.model_spec.signature_name = model_name, "classify"
    for image in encoded:
        example = request.input.example_list.examples.add()
        example.features.feature["image_bytes"].bytes_list.value.append(image)
    yield log


def _predict(model_name, signature, **inputs):
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name, request.model_spec.signature_name = model_name, signature
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    return log
