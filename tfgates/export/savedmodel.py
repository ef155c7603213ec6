"""The SavedModel that TensorFlow Serving loads: signatures, labels inside, publishing."""

import os
import pathlib
import shutil

import numpy as np
import tensorflow as tf

from tfgates import costs
from tfgates.errors import UserError
from tfgates.export.skipping import SkippingNetwork
from tfgates.policies import log_odds

OK = "OK"
BAD_IMAGE = "INVALID_ARGUMENT: not a readable JPEG or PNG image; send the bytes of an image file"
BAD_PIXELS = "INVALID_ARGUMENT: pixels are finite numbers in [0, 255]; send raw, unscaled pixels"
BAD_TAU = "INVALID_ARGUMENT: tau is a probability in (0, 1); send 0.5 for the usual threshold"


class ServedModel(tf.Module):
    """A trained network with its preprocessing and labels, as signatures.

    Every input and output has the images first, so that a server can merge requests. An image that
    cannot be answered gets its own `status`; its neighbours keep their answers.

    Args:
        network: built `GatedNetwork`; its weights are copied.
        preprocessing: `Preprocessing` of its inputs, raw pixels.
        labels: names of the K classes.
        tau: threshold of the gates, in (0, 1), of all signatures but `predict_tau`.
        top_k: number of classes in an answer, from 1; more than K are K.

    The graph computes in float32. It equals a float32 network to 1e-5; one that was trained in
    mixed precision answers a little more exactly than in training.

    Raises:
        ValueError: an argument out of its range.
    """

    def __init__(self, network, preprocessing, labels, tau=0.5, top_k=5):
        super().__init__()
        if len(labels) != network.num_classes:
            raise ValueError(
                f"`labels` are as many as classes, {network.num_classes}. Received: {len(labels)}."
            )
        if not is_threshold(tau):
            raise ValueError(f"`tau` is a probability in (0, 1), in float32. Received: {tau}.")
        if top_k < 1:
            raise ValueError(f"`top_k` is at least 1. Received: {top_k}.")
        self._preprocessing = preprocessing
        self._labels = list(labels)
        self._tau = tau
        self._top_k = min(top_k, len(labels))
        self._network = SkippingNetwork(network)
        size = preprocessing.size
        self._costs = costs.count(network, (size, size, 3))
        images = tf.TensorSpec([None, size, size, 3], tf.float32)
        vector = tf.TensorSpec([None], tf.float32)
        texts = tf.TensorSpec([None], tf.string)
        # One concrete function, shared by all signatures: the weights stand in the file once.
        self._answer = tf.function(self._answer_images).get_concrete_function(images, vector, texts)

    def signatures(self):
        """Returns the signatures by name, each a concrete function."""
        texts = tf.TensorSpec([None], tf.string)
        tau = tf.TensorSpec([None], tf.float32, name="tau")
        size = self._preprocessing.size
        images = tf.TensorSpec([None, size, size, 3], tf.float32)
        inputs = {
            "serving_default": (self.predict, [_named(texts, "image_bytes")]),
            "predict_tau": (self.predict_tau, [_named(texts, "image_bytes"), tau]),
            "predict_images": (self.predict_images, [_named(images, "images")]),
            "classify": (self.classify, [_named(texts, "inputs")]),
        }
        return {
            name: tf.function(method, input_signature=specs).get_concrete_function()
            for name, (method, specs) in inputs.items()
        }

    def predict(self, image_bytes):
        """Classifies encoded images, string [N]."""
        return self.predict_tau(image_bytes, self._fixed_tau(image_bytes))

    def predict_tau(self, image_bytes, tau):
        """Classifies encoded images, string [N], each at its own threshold, float32 [N]."""
        tf.debugging.assert_equal(
            tf.size(tau), tf.size(image_bytes), "tau has one number for each image"
        )
        images, readable = decode_each(image_bytes, self._preprocessing)
        return self._answer(images, tau, tf.where(readable, OK, BAD_IMAGE))

    def predict_images(self, images):
        """Classifies raw pixels, float32 [N, H, W, C] in [0, 255]."""
        sound = tf.reduce_all((images >= 0) & (images <= 255), [1, 2, 3])
        return self._answer(images, self._fixed_tau(images), tf.where(sound, OK, BAD_PIXELS))

    def classify(self, inputs):
        """Classifies serialised `tf.Example`s, string [N], each with a feature "image_bytes"."""
        feature = {"image_bytes": tf.io.FixedLenFeature([], tf.string, default_value="")}
        answer = self.predict(tf.io.parse_example(inputs, feature)["image_bytes"])
        return {"classes": answer["classes"], "scores": answer["scores"]}

    def _fixed_tau(self, inputs):
        return tf.fill(tf.shape(inputs)[:1], tf.constant(self._tau, tf.float32))

    def _answer_images(self, images, tau, status):
        sound_tau = (tau > 0) & (tau < 1)
        status = tf.where((status == OK) & ~sound_tau, BAD_TAU, status)
        valid = status == OK
        odds = log_odds(tf.where(sound_tau, tau, 0.5))
        probabilities, gates = self._network(images, odds, valid)
        scores, class_ids = tf.math.top_k(probabilities, self._top_k)
        branches = np.asarray(self._costs.branches, "float32")
        executed = tf.linalg.matvec(tf.cast(gates, tf.float32), branches)
        executed += float(self._costs.always + sum(self._costs.gates))
        return {
            "classes": tf.where(valid[:, None], tf.gather(self._labels, class_ids), ""),
            "scores": scores,
            "class_ids": tf.where(valid[:, None], class_ids, -1),
            "gates": gates,
            "macs": tf.where(valid, executed, 0.0),
            "status": status,
        }


def is_threshold(tau):
    """Whether a number lies in (0, 1) as the float32 that the graph holds."""
    return bool(0 < np.float32(tau) < 1)


def _named(spec, name):
    return tf.TensorSpec(spec.shape, spec.dtype, name=name)


def decode_each(image_bytes, preprocessing):
    """Decodes images of which some may be broken.

    Args:
        image_bytes: string [N].
        preprocessing: `Preprocessing`.

    Returns:
        float32 [N, size, size, 3], zeros where an image is broken; and bool [N], whether it is not.
    """
    count, size = tf.size(image_bytes, out_type=tf.int64), preprocessing.size
    decoded = (
        tf.data.Dataset.from_tensor_slices(image_bytes)
        .enumerate()
        .map(lambda index, image: (index, preprocessing(image)))
        .ignore_errors()
    )
    # The extra element keeps the batch from being empty when every image is broken.
    extra = tf.data.Dataset.from_tensors((count, tf.zeros([size, size, 3])))
    indices, images = decoded.concatenate(extra).batch(count + 1).get_single_element()
    readable = tf.scatter_nd(indices[:, None], tf.ones_like(indices), [count + 1])[:count]
    images = tf.scatter_nd(indices[:, None], images, [count + 1, size, size, 3])[:count]
    return images, readable > 0


def publish(model, folder):
    """Writes a model as the next integer version of a folder that a server may be watching.

    Args:
        model: `ServedModel`.
        folder: the versions' folder; it is made where it is missing.

    Returns:
        Path of the new version. It appears complete, by a rename.

    Raises:
        UserError: the folder cannot be written.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        versions = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
        version = folder / str(max(versions, default=0) + 1)
        unfinished = folder / f".tmp-{version.name}-{os.getpid()}"
        try:
            tf.saved_model.save(model, str(unfinished), signatures=model.signatures())
            for path in unfinished.rglob("*"):
                _flush_to_disk(path)
            unfinished.rename(version)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"Cannot write the export to {folder}: {error}.") from error
    return version


def _flush_to_disk(path):
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())
