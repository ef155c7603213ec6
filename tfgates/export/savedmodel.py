"""The model that TensorFlow Serving loads: one network behind four signatures."""

import numpy as np
import tensorflow as tf

from tfgates.base.threshold import is_threshold
from tfgates.export.decode import (
    DECODERS,
    GOOD,
    MAX_PIXELS,
    MAX_REQUEST_PIXELS,
    TOO_LARGE,
    TOO_MANY,
    UNREADABLE,
)
from tfgates.export.effort import MAX_SCANS, SCANS_OF_A_PICTURE
from tfgates.export.leaving import Leaving
from tfgates.export.servable import servable
from tfgates.export.skipping import DEVICES, SKIPS, as_run, best_skip, serve
from tfgates.graph.count import count
from tfgates.graph.pruning import fully_decided, prune, thresholded
from tfgates.network import num_classes, num_gates
from tfgates.policies import Threshold, log_odds

OK = "OK"
BAD_IMAGE = (
    "INVALID_ARGUMENT: not a readable image; send the bytes of a JPEG, PNG, WebP or BMP without "
    "palette"
)
LARGE_IMAGE = (
    f"INVALID_ARGUMENT: an image has at most {MAX_PIXELS // 10**6} million pixels, counted again "
    f"for each {SCANS_OF_A_PICTURE} of the at most {MAX_SCANS} scans of a JPEG; scale it down"
)
LARGE_REQUEST = (
    f"INVALID_ARGUMENT: the images of a request have at most {MAX_REQUEST_PIXELS // 10**6} million "
    "pixels together; send fewer at a time"
)
BAD_PIXELS = "INVALID_ARGUMENT: pixels are finite numbers in [0, 255]; send raw, unscaled pixels"
BAD_TAU = "INVALID_ARGUMENT: tau is a probability in (0, 1); send 0.5 for the usual threshold"
BAD_EXIT_TAU = (
    "INVALID_ARGUMENT: exit_tau is a probability in (0, 1); send 0.5 for the usual threshold"
)

STATUS_OF_CODE = {
    GOOD: OK,
    UNREADABLE: BAD_IMAGE,
    TOO_LARGE: LARGE_IMAGE,
    TOO_MANY: LARGE_REQUEST,
}
# Scaling overshoots the brightest pixels of a picture by a few rounding errors.
ROUNDING = 0.01
WEIGHTS = ("const", "variables")
CHOICES = {"skip": ("auto", *SKIPS), "device": DEVICES, "weights": WEIGHTS, "decode": DECODERS}


class ServedModel(tf.Module):
    """A trained network with its preprocessing and labels, as signatures.

    Every input and output has the images first, so that a server can merge requests. An image that
    cannot be answered gets its own `status`; its neighbours keep their answers.

    Args:
        network: built `Network`, or a functional model without gates; see
            `tfgates.export.servable`. Its weights are copied.
        preprocessing: `Preprocessing` of its inputs, raw pixels.
        labels: names of the K classes.
        tau: threshold of the gates, in (0, 1), of all signatures but `predict_tau`.
        exit_tau: threshold of going on at an early exit, in (0, 1): the greater, the more images
            leave; of all signatures but `predict_exit_tau` and `predict_taus`.
        top_k: number of classes in an answer, from 1; more than K are K.
        skip: a key of `SKIPS`, how closed branches are skipped; "auto" is `best_skip`.
        device: one of `DEVICES`, which serves the model; "auto" asks for it.
        weights: "const": in the graph, fastest; "variables": beside it, which takes less memory.
        decode: a key of `DECODERS`. "robust": a bad image gets its own status; "strict": it fails
            the request.
        fixed: decisions of dependent gates that are made now, bool by column of the gate. Those of
            gates that look at no image always are: tau of a request does not move them.

    Attributes:
        fixed: all decisions that are made, bool by column of the gate.
        skip: how closed branches are skipped, a key of `SKIPS`.
        exits: names of the early exits.
        weights, decode, tau, exit_tau, top_k, labels, preprocessing: as they were given.
        costs: `Costs` of the network; left: of what the decisions that are made leave of it, as it
            is run.

    The graph computes in float32. It equals a float32 network to 1e-5; one that was trained in
    mixed precision answers a little more exactly than in training.

    Raises:
        ValueError: an argument out of its range, or a network that cannot be served.
        TypeError: a layer that cannot be exported, or whose multiply-adds no rule counts.
    """

    def __init__(
        self,
        network,
        preprocessing,
        labels,
        *,
        tau=0.5,
        exit_tau=0.5,
        top_k=5,
        skip="auto",
        device="cpu",
        weights="const",
        decode="robust",
        fixed=None,
    ):
        super().__init__()
        for name, value in (("tau", tau), ("exit_tau", exit_tau)):
            if not is_threshold(value):
                raise ValueError(
                    f"`{name}` is a probability in (0, 1), in float32. Received: {value}."
                )
        if top_k < 1:
            raise ValueError(f"`top_k` is at least 1. Received: {top_k}.")
        _require_choices(skip=skip, device=device, weights=weights, decode=decode)
        network = servable(network, preprocessing.size)
        classes = num_classes(network)
        if len(labels) != classes:
            raise ValueError(
                f"`labels` are as many as classes, {classes}. Received: {len(labels)}."
            )
        self.preprocessing = preprocessing
        self.labels = tuple(labels)
        self.tau, self.exit_tau = tau, exit_tau
        self.top_k = min(top_k, len(labels))
        decided = {**(fixed or {}), **thresholded(network, Threshold(tau))}
        self.fixed = fully_decided(network, decided)
        smaller = prune(network, self.fixed)
        self.num_gates = num_gates(network)
        self._leaving = Leaving(network, smaller, self.fixed)
        self.exits = self._leaving.exits
        self.costs, left = count(network), count(smaller)
        self.skip = best_skip(left.branches, device) if skip == "auto" else skip
        self.left = as_run(left, smaller, self.skip)
        self.weights, self.decode = weights, decode
        self._variables = []
        place = np.asarray if weights == "const" else self._variable
        self._network = serve(smaller, self.skip, place)
        images = tf.TensorSpec([None, preprocessing.size, preprocessing.size, 3], tf.float32)
        vector = tf.TensorSpec([None], tf.float32)
        texts = tf.TensorSpec([None], tf.string)
        # One concrete function, shared by all signatures: the weights stand in the file once.
        answer = tf.function(self._answer_images, autograph=False)
        self._answer = answer.get_concrete_function(images, vector, vector, texts)

    def signatures(self):
        """Returns the signatures by name, each a concrete function."""
        texts = tf.TensorSpec([None], tf.string)
        tau, exit_tau = (
            tf.TensorSpec([None], tf.float32, name=name) for name in ("tau", "exit_tau")
        )
        size = self.preprocessing.size
        images = tf.TensorSpec([None, size, size, 3], tf.float32)
        inputs = {
            "serving_default": (self.predict, [_named(texts, "image_bytes")]),
            "predict_tau": (self.predict_tau, [_named(texts, "image_bytes"), tau]),
            "predict_images": (self.predict_images, [_named(images, "images")]),
            "classify": (self.classify, [_named(texts, "inputs")]),
        }
        if self.exits:
            encoded = _named(texts, "image_bytes")
            inputs["predict_exit_tau"] = self.predict_exit_tau, [encoded, exit_tau]
            inputs["predict_taus"] = self.predict_taus, [encoded, tau, exit_tau]
        return {
            name: tf.function(method, input_signature=specs).get_concrete_function()
            for name, (method, specs) in inputs.items()
        }

    def predict(self, image_bytes):
        """Classifies encoded images, string [N]."""
        return self.predict_tau(image_bytes, _filled(image_bytes, self.tau))

    def predict_tau(self, image_bytes, tau):
        """Classifies encoded images, string [N], each at its own threshold, float32 [N]."""
        return self.predict_taus(image_bytes, tau, _filled(image_bytes, self.exit_tau))

    def predict_exit_tau(self, image_bytes, exit_tau):
        """Classifies encoded images, each at its own threshold of going on, float32 [N]."""
        return self.predict_taus(image_bytes, _filled(image_bytes, self.tau), exit_tau)

    def predict_taus(self, image_bytes, tau, exit_tau):
        """Classifies encoded images, each at its own two thresholds."""
        for name, given in (("tau", tau), ("exit_tau", exit_tau)):
            tf.debugging.assert_equal(
                tf.size(given), tf.size(image_bytes), f"{name} has one number for each image"
            )
        images, codes = DECODERS[self.decode](image_bytes, self.preprocessing)
        statuses = [STATUS_OF_CODE[code] for code in sorted(STATUS_OF_CODE)]
        return self._answer(images, tau, exit_tau, tf.gather(statuses, codes))

    def predict_images(self, images):
        """Classifies raw pixels, float32 [N, H, W, C] in [0, 255]."""
        sound = tf.reduce_all((images >= -ROUNDING) & (images <= 255 + ROUNDING), [1, 2, 3])
        taus = _filled(images, self.tau), _filled(images, self.exit_tau)
        return self._answer(images, *taus, tf.where(sound, OK, BAD_PIXELS))

    def classify(self, inputs):
        """Classifies serialised `tf.Example` messages, string [N], with a feature "image_bytes"."""
        feature = {"image_bytes": tf.io.FixedLenFeature([], tf.string, default_value="")}
        answer = self.predict(tf.io.parse_example(inputs, feature)["image_bytes"])
        return {"classes": answer["classes"], "scores": answer["scores"]}

    def _variable(self, array):
        # A list of the module: TensorFlow saves what it holds.
        self._variables.append(tf.Variable(array, trainable=False))
        return self._variables[-1]

    def _answer_images(self, images, tau, exit_tau, status):
        odds = []
        for given, bad in ((tau, BAD_TAU), (exit_tau, BAD_EXIT_TAU)):
            sound = (given > 0) & (given < 1)
            status = tf.where((status == OK) & ~sound, bad, status)
            odds.append(log_odds(tf.where(sound, given, 0.5)))
        valid, odds = status == OK, self._leaving.thresholds(*odds)
        probabilities, live = self._network(images, odds, valid)
        scores, class_ids = tf.math.top_k(probabilities, self.top_k)
        branches = np.asarray(self.left.branches, "float32")
        executed = tf.linalg.matvec(tf.cast(live, tf.float32), branches)
        decisions = self._leaving.decisions(live, valid)
        left = {"exit": self._leaving.exit(decisions, valid)} if self.exits else {}
        return {
            **left,
            "classes": tf.where(valid[:, None], tf.gather(self.labels, class_ids), ""),
            "scores": scores,
            "class_ids": tf.where(valid[:, None], class_ids, -1),
            "gates": decisions,
            "macs": tf.where(valid, executed + float(self.always), 0.0),
            "macs_full": tf.where(valid, float(self.costs.ungated), 0.0),
            "status": status,
        }

    @property
    def always(self):
        """Multiply-adds of what runs for every image, the gates that are left included."""
        return self.left.always + self.left.gates


def _require_choices(**chosen):
    for name, value in chosen.items():
        if value not in CHOICES[name]:
            raise ValueError(f"`{name}` is one of {', '.join(CHOICES[name])}. Received: {value!r}.")


def _filled(inputs, value):
    """Returns one number for each of the inputs, float32 [N]."""
    return tf.fill(tf.shape(inputs)[:1], tf.constant(value, tf.float32))


def _named(spec, name):
    return tf.TensorSpec(spec.shape, spec.dtype, name=name)
