"""What a gate runs where it is open, and where it is closed."""

import tensorflow as tf

from tfgates.graph.macs import multiply_adds
from tfgates.graph.nodes import nodes


class Arms:
    """Both arms of a gate, as functions of inputs, averages and log_odds.

    Each returns a list: features, their averages where those are read behind the gate, and the
    decisions inside where there are any, which are false in a closed arm.

    Args:
        then: `Graph`.
        otherwise: `Graph`; None gives zeros.
        inside: number of decisions inside of `then`.
        shape: of the features of an image.

    Attributes:
        closing_computes: whether the closed arm has multiply-adds.
    """

    def __init__(self, then, otherwise, inside, shape):
        self.then, self.otherwise, self.inside = then, otherwise, inside
        self.shapes = [shape, shape[-1:]] if then.averaged else [shape]
        self.closing_computes = otherwise is not None and any(
            map(multiply_adds, nodes(otherwise.model))
        )

    def open(self, inputs, averages, log_odds):
        features, decisions, means = self.then(inputs, averages, log_odds)
        return [part for part in (features, means, decisions) if part is not None]

    def close(self, inputs, averages, log_odds):
        count = inputs[0].shape[0] or tf.shape(inputs[0])[0]
        zeros = self.nothing(count)
        if self.otherwise is None:
            return zeros
        features, _, means = self.otherwise(inputs, averages, log_odds)
        ran = [features] if means is None else [features, means]
        return [*ran, *zeros[len(ran) :]]

    def nothing(self, count):
        """Returns zeros in the shapes of an arm."""
        zeros = [tf.zeros([count, *shape]) for shape in self.shapes]
        return [*zeros, tf.zeros([count, self.inside], tf.bool)] if self.inside else zeros
