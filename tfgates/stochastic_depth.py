"""Stochastic depth: gates of fixed probabilities (section 2.1; Huang et al., 2016)."""

import math

import keras
from keras import ops

from tfgates.gates import full_precision


@keras.saving.register_keras_serializable(package="tfgates")
class FixedGate(keras.layers.Layer):
    """A gate of stochastic depth: its probability is not learned.

    Args:
        probability: of being open, in (0, 1).

    Call arguments:
        inputs: [B, ...]; only B is used.

    Returns, when called: logits [B].

    Raises:
        ValueError: a probability outside of (0, 1).
    """

    groups, learned, data_dependent, multiply_adds = 1, False, False, 0

    def __init__(self, probability, dtype=None, **kwargs):
        super().__init__(dtype=full_precision(dtype), **kwargs)
        if not 0 < probability < 1:
            raise ValueError(f"`probability` is in (0, 1). Received: {probability}.")
        self.probability = float(probability)

    def call(self, inputs, training=False):
        odds = math.log(self.probability) - math.log1p(-self.probability)
        return ops.full((ops.shape(inputs)[0],), odds, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0],)

    def get_config(self):
        return {**super().get_config(), "probability": self.probability}


def linear_decay(count, last):
    """p_l = 1 - l / L (1 - p_L) for l = 1 ... L, the probabilities of stochastic depth (2.1).

    Args:
        count: number of branches L.
        last: probability of the last branch (p_L), in (0, 1).

    Returns:
        List of L probabilities.
    """
    return [1 - (index + 1) / count * (1 - last) for index in range(count)]
