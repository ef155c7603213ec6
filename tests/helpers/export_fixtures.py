"""One network, exported in several ways; PYTEST_DONT_REWRITE: there is no assertion here."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import PREPROCESSING, STATISTICS, gated, open_half, randomize, real_images

from tfgates.export.publish import publish
from tfgates.export.savedmodel import ServedModel
from tfgates.network import logits_and_decisions
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.policies import Threshold

LABELS = [f"class {index}" for index in range(10)]


@functools.cache
def network_with(gate):
    """Returns a network of six blocks; dependent gates open for half of the images each."""
    # A module's fixtures come before the seed of its first test.
    keras.utils.set_random_seed(7)
    network = gated(cifar_resnet(14, 10, statistics=STATISTICS), gate, seed=7)
    randomize(network, seed=7)
    if gate == "dependent":
        images = [PREPROCESSING(image) for image in real_images(64, "validation")[0]]
        open_half(network, np.stack(images), seed=7)
    return network


@functools.cache
def masked(gate, tau):
    """Probabilities and decisions of the Keras network on 32 test images."""
    return masked_by(network_with(gate), real_images(32, "test")[0], Threshold(tau))


def masked_by(network, encoded, policy):
    """Probabilities and decisions of a Keras network, which computes every branch."""
    images = np.stack([PREPROCESSING(image) for image in encoded])
    logits, decisions = logits_and_decisions(network(images, policy=policy))
    return tf.nn.softmax(logits).numpy(), decisions.numpy()


class Exported:
    """A network beside its export, which answers with all ten classes."""

    def __init__(self, folder, gate, **options):
        self.gate = gate
        self.network = network_with(gate)
        self.model = ServedModel(self.network, PREPROCESSING, LABELS, top_k=10, **options)
        self.path = publish(self.model, folder)
        self.loaded = tf.saved_model.load(str(self.path))

    def answer(self, signature, **inputs):
        outputs = self.loaded.signatures[signature](**inputs)
        return {name: value.numpy() for name, value in outputs.items()}

    def masked(self, encoded, policy):
        return masked_by(self.network, encoded, policy)


CASES = {
    "loop": {"gate": "dependent", "skip": "loop"},
    "gather": {"gate": "dependent", "skip": "gather"},
    "masked": {"gate": "dependent", "skip": "none"},
    "variables": {"gate": "dependent", "skip": "loop", "weights": "variables"},
    "independent": {"gate": "independent", "skip": "gather", "weights": "variables"},
    "no gates": {"gate": "none", "decode": "strict"},
}


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """Function name of a case -> `Exported`, made once."""
    return functools.cache(lambda case: Exported(tmp_path_factory.mktemp("export"), **CASES[case]))


@pytest.fixture(params=CASES)
def exported(request, export):
    return export(request.param)


@pytest.fixture(params=["loop", "gather"])
def skips(request, export):
    return export(request.param)


@pytest.fixture
def dependent(export):
    return export("loop")


def scores_by_class(answer):
    scores = np.zeros_like(answer["scores"])
    np.put_along_axis(scores, answer["class_ids"], answer["scores"], axis=1)
    return scores


def example(image):
    """Returns a serialised `tf.Example` that holds an encoded image."""
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))
    features = tf.train.Features(feature={"image_bytes": feature})
    return tf.train.Example(features=features).SerializeToString()
