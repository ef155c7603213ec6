"""Steps of a small gated network, written once for every backend of Keras.

KERAS_BACKEND=jax python tests/helpers/steps_on_a_backend.py GIVEN.npz FOUND.npz
"""

import random
import sys

import keras
import numpy as np
from keras import ops

import tfgates
from tfgates.network import columns, gates
from tfgates.noise import LogisticNoise

STEPS, IMAGES, GATES = 4, 16, 3


def small_network():
    # Seeds Keras's initializers; `keras.utils.set_random_seed` would import TensorFlow.
    random.seed(1)
    plain = tfgates.NETWORKS["cifar_resnet8"](10, (8, 8, 3))
    return tfgates.gate(plain, seed=1)


def given(network):
    """Returns what both backends begin with: weights, images, labels and noise."""
    rng = np.random.default_rng(0)
    weights = {f"weight_{index}": one for index, one in enumerate(network.get_weights())}
    return {
        **weights,
        "images": rng.normal(size=(IMAGES, 8, 8, 3)).astype("float32"),
        "labels": rng.integers(0, 10, IMAGES),
        "draws": rng.logistic(size=(STEPS, IMAGES, GATES)).astype("float32"),
    }


def train(network, data):
    """Trains some steps; returns the losses, the first gradients and the last weights."""
    count = len(network.weights)
    network.set_weights([data[f"weight_{index}"] for index in range(count)])
    target, parts = tfgates.Target(0.5, "per_gate", weight=2.0), columns(network)

    def loss(trainable, fixed, images, labels, draws):
        policy = tfgates.Sample(draws={name: draws[:, part] for name, part in parts.items()})
        outputs, fixed = network.stateless_call(
            trainable, fixed, images, training=True, policy=policy
        )
        errors = keras.losses.sparse_categorical_crossentropy(
            labels, outputs["logits"], from_logits=True
        )
        rates = ops.mean(outputs["decisions"], axis=0)
        return ops.mean(errors) + target.loss(rates), fixed

    step = with_gradients(loss)
    trainable = [one.value for one in network.trainable_variables]
    fixed = [one.value for one in network.non_trainable_variables]
    losses, first = [], None
    for one in data["draws"]:
        (value, fixed), gradients = step(trainable, fixed, data["images"], data["labels"], one)
        trainable = [one - 0.05 * slope for one, slope in zip(trainable, gradients, strict=True)]
        losses.append(float(value))
        first = first or [ops.convert_to_numpy(one) for one in gradients]
    last = [ops.convert_to_numpy(one) for one in trainable]
    return {
        "losses": losses,
        **{f"gradient_{index}": one for index, one in enumerate(first)},
        **{f"trained_{index}": one for index, one in enumerate(last)},
    }


def with_gradients(function):
    """Returns a compiled function -> its value, and the gradients of its first argument."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(jax.value_and_grad(function, has_aux=True))
    import tensorflow as tf

    @tf.function
    def step(trainable, *others):
        with tf.GradientTape() as tape:
            tape.watch(trainable)
            value = function(trainable, *others)
        return value, tape.gradient(value[0], trainable)

    return lambda trainable, *others: step(list(map(tf.convert_to_tensor, trainable)), *others)


def draws(noises):
    """Returns two draws of each noise, [noises, 2, images]."""
    zeros = np.zeros(10_000, "float32")
    return np.array([[ops.convert_to_numpy(noise(zeros)) for _ in range(2)] for noise in noises])


if __name__ == "__main__":
    with np.load(sys.argv[1]) as file:
        data = dict(file)
    network = small_network()
    own = [layer.noise for layer in gates(network)]
    np.savez(
        sys.argv[2],
        **train(network, data),
        noise=draws(own),
        again=draws([LogisticNoise(noise.seed) for noise in own]),
        sampled=ops.convert_to_numpy(tfgates.Sample()(ops.zeros(10_000), own[0])),
        backend=keras.backend.backend(),
        tensorflow="tensorflow" in sys.modules,
    )
