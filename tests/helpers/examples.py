"""Small networks and real images for the tests."""

import functools
import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import flags

import tfgates
import tfgates.settings.flags
from tfgates.data import datasets
from tfgates.data.preprocess import Preprocessing
from tfgates.gates import DependentGate
from tfgates.graph.nodes import nodes
from tfgates.network import gates, take_policy
from tfgates.networks.cifar_resnet import cifar_resnet
from tfgates.policies import Threshold
from tfgates.settings.config import TrainConfig
from tfgates.stochastic_depth import FixedGate, linear_decay

ROOT = pathlib.Path(__file__).parents[2]
PREPROCESSING = Preprocessing(32)
# Elsewhere TensorFlow leaves a graph in float32, whatever it is told.
needs_bfloat16 = pytest.mark.skipif(
    "avx512_bf16" not in pathlib.Path("/proc/cpuinfo").read_text(),
    reason="The processor does not compute in bfloat16.",
)
STATISTICS = ((0.22, 0.22, 0.22), (0.33, 0.33, 0.33))


def small_network(gate="dependent", size=8, synchronized=False):
    """Returns a network of three blocks, one with an identity shortcut and two with projections.

    Args:
        gate: "dependent", "independent", "stochastic_depth", or "none": a plain `keras.Model`.
        size: of the images, in pixels.
        synchronized: batch norm over all replicas.
    """
    plain = cifar_resnet(8, 10, (size, size, 3), synchronized=synchronized)
    options = {"synchronized": synchronized} if gate == "dependent" else {}
    return gated(plain, gate, seed=7, **options)


def gated(plain, gate="dependent", **options):
    """Gates a network; "none" leaves it plain, "stochastic_depth" decays to a probability of .5."""
    if gate == "none":
        return plain
    if gate == "stochastic_depth":
        probabilities = iter(linear_decay(len(tfgates.branches(plain)), 0.5))
        return tfgates.gate(plain, lambda branch: FixedGate(next(probabilities)), **options)
    return tfgates.gate(plain, gate, **options)


def exits_network(size=8):
    """Returns a network of two exits: where the gate exit_1 is open it goes on to exit_2."""

    def convolved(features):
        return keras.layers.Conv2D(16, 3, padding="same", activation="relu")(features)

    def classified(features):
        return keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(features))

    def guarded(rest, name):
        features = keras.Input((size, size, 16))
        here = keras.Model(features, classified(features))
        return tfgates.Gated(rest, DependentGate(), otherwise=here, seed=int(name[-1]), name=name)

    last, middle = keras.Input((size, size, 16)), keras.Input((size, size, 16))
    rest = keras.Model(last, classified(convolved(last)))
    rest = keras.Model(middle, guarded(rest, "exit_2")(convolved(middle)))
    images = keras.Input((size, size, 3))
    logits, decisions = guarded(rest, "exit_1")(convolved(images))
    return tfgates.Network(images, {"logits": logits, "decisions": decisions})


def randomize(network, seed=0, odds_std=1.5):
    """Gives a network the weights of a trained one: moved batch norms, gates that differ."""
    rng = np.random.default_rng(seed)
    for weight in network.weights:
        if weight.path.endswith(("moving_mean", "beta")):
            weight.assign(rng.normal(0, 0.2, weight.shape))
        elif weight.path.endswith(("moving_variance", "gamma")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif "off_on" in weight.path:
            weight.assign(rng.normal(0, odds_std, weight.shape))
    return network


def open_half(network, images, seed=0):
    """Gives dependent gates weights with which each opens for half of the images.

    Args:
        network: `Network` of `DependentGate`s; its other weights stay.
        images: [B, H, W, C], network inputs.
        seed: of the weights.
    """
    rng = np.random.default_rng(seed)
    for layer in gates(network):
        off_on, before = layer.gate.off_on, features_before(network, layer.name)
        off_on.kernel.assign(rng.normal(0, 1, off_on.kernel.shape))
        off_on.bias.assign([0, 0])
        logits = np.asarray(layer.gate(before(images, policy=Threshold())))
        # The odds spread widely and stay below those of tau = 1 - 1e-7.
        scale = 2.0 / logits.std()
        off_on.kernel.assign(off_on.kernel * scale)
        off_on.bias.assign([np.median(logits) * scale, 0])


def features_before(network, name):
    """Returns a model, images -> what enters the gate or layer of that name."""
    return take_policy(keras.Model(network.input, node_of(network, name).input_tensors[0]))


def node_of(network, name):
    """Returns the call of a layer in a network, see `tfgates.graph.nodes`."""
    (found,) = [node for node in nodes(network) if node.operation.name == name]
    return found


def set_odds(network, odds):
    """Gives independent gates their log-odds, one number for all or one for each."""
    layers = gates(network)
    for layer, one in zip(layers, np.broadcast_to(odds, len(layers)), strict=True):
        layer.gate.off_on.assign([[0.0, one]] * layer.groups)
    return network


def real_images(count, split="train"):
    """Returns encoded images and labels of the shipped data set."""
    records = datasets.open_dataset("fashion_mnist_13k").records(split).take(count)
    images, labels = zip(*records.as_numpy_iterator(), strict=True)
    return list(images), np.array(labels)


def store_set(folder, splits, num_classes=10, **options):
    """Stores a data set of one's own, named my_set.

    Args:
        folder: its data_dir.
        splits: by name, encoded images and labels.
        num_classes: number of its classes.
        **options: of `store_as_tfds_dataset`.
    """
    tfds.dataset_builders.store_as_tfds_dataset(
        name="my_set",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {
                "photo": tfds.features.Image(shape=(28, 28, 1)),
                "kind": tfds.features.ClassLabel(num_classes=num_classes),
            }
        ),
        split_datasets={
            name: tf.data.Dataset.from_tensor_slices(
                {"photo": np.stack([tf.io.decode_png(image) for image in images]), "kind": labels}
            )
            for name, (images, labels) in splits.items()
        },
        data_dir=folder,
        **options,
    )


def train_settings(*arguments):
    """Parses flags of train.py as a new process would; returns the `TrainConfig`."""
    return with_flags(TrainConfig.from_flags, *arguments)


def with_flags(function, *arguments):
    """Calls a function where the flags of train.py are parsed as in a new process."""
    names = [name for name in dir(flags) if name.startswith("DEFINE_")] + ["register_validator"]
    values = flags.FlagValues()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flags, "FLAGS", values)
        for name in names:
            bound = functools.partial(getattr(flags, name), flag_values=values)
            patch.setattr(flags, name, bound)
        tfgates.settings.flags.define_flags()
        assert values(["train.py", *arguments]) == ["train.py"], "a stray argument"
        return function()


def operations(graph):
    """Lists the types of all operations of a `GraphDef`, those inside functions included."""
    inside = (node for function in graph.library.function for node in function.node_def)
    return [node.op for node in (*graph.node, *inside)]


# Of `run_script`: Keras on JAX.
ON_JAX = {"KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}


def run_script(*arguments, timeout=280, folder=ROOT, environment=()):
    """Runs a Python script of the repository; returns the finished process with its output."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **dict(environment)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def own_lines(stderr):
    """Returns the lines of stderr that TensorFlow's own start-up messages do not account for."""
    noise = re.compile(r"[IWE]\d{4} \d\d:|WARNING: All log messages|To enable the following")
    return [line for line in stderr.splitlines() if line and not noise.match(line)]
