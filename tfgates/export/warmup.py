"""Requests that a server sends to a new version of a model before it answers anybody's.

The first request of a kind takes seconds: TensorFlow prepares the graph and the weights then. The
requests are those of the client: the same signatures, all outputs, one image and eight.
"""

import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

FILE = "tf_serving_warmup_requests"
BATCHES = (1, 8)


def requests(size, tau, model_name="gated"):
    """Makes warm-up requests.

    Args:
        size: height and width of the images in pixels.
        tau: threshold of all images.
        model_name: under which the model will be served.

    Returns:
        Bytes of a TFRecord of `PredictionLog`, the content of assets.extra/`FILE`.
    """
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / FILE
        with tf.io.TFRecordWriter(str(path)) as writer:
            for count in BATCHES:
                images = [_image(rng, size) for _ in range(count)]
                for inputs in (
                    {"image_bytes": images},
                    {"image_bytes": images, "tau": [tau] * count},
                ):
                    writer.write(_log(model_name, inputs).SerializeToString())
        return path.read_bytes()


def _image(rng, size):
    """A JPEG of coloured squares, which open other gates than a grey one would."""
    squares = (255 * rng.random((8, 8, 3)) * rng.random(3)).astype("uint8")
    return tf.io.encode_jpeg(tf.image.resize(squares, [size, size], "nearest")).numpy()


def _log(model_name, inputs):
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name = model_name
    request.model_spec.signature_name = "predict_tau" if "tau" in inputs else "serving_default"
    for name, values in inputs.items():
        dtype = tf.float32 if name == "tau" else tf.string
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values, dtype))
    return log
