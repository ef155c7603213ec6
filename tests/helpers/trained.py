"""A small classifier, compiled and trained for some steps."""

import keras
import numpy as np
import tensorflow as tf
from examples import small_network

from tfgates.policies import Expected
from tfgates.training.callbacks import EpochRates, EpochSchedule
from tfgates.training.classifier import GatedClassifier


def compiled(network, learning_rate=0.1, **arguments):
    classifier = GatedClassifier(network, **arguments)
    classifier.compile(
        keras.optimizers.SGD(learning_rate, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
        jit_compile=False,
    )
    return classifier


def batches(steps, size=8, images=16, classes=10):
    rng = np.random.default_rng(0)
    data = (
        rng.normal(size=(steps * images, size, size, 3)),
        rng.integers(0, classes, steps * images),
    )
    return tf.data.Dataset.from_tensor_slices(data).batch(images, drop_remainder=True)


def trained_weights(strategy, target_loss, schedule=None, teacher=None):
    """Trains 10 steps with deterministic gates in float64; returns all weights."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    keras.utils.set_random_seed(0)
    with strategy.scope():
        classifier = compiled(
            small_network(synchronized=True),
            target_loss=target_loss,
            target_rate=0.3,
            target_weight=5.0,
            weight_decay=1e-3,
            train_policy=Expected(),
            schedule=schedule,
            teacher=teacher,
        )
    history = classifier.fit(
        batches(5), epochs=2, verbose=0, callbacks=[EpochRates(), EpochSchedule()]
    ).history
    return [
        np.asarray(weight.numpy()) for weight in classifier.weights if "state" not in weight.path
    ], history


def largest_difference(ones, others):
    return max(np.abs(one - other).max() for one, other in zip(ones, others, strict=True))
