"""The tensors of one run of a model as TensorFlow operations."""

from tfgates.export.native import average
from tfgates.graph.nodes import producer


class Scope:
    """The tensors of one run of a graph, found by the symbolic ones.

    Args:
        symbolic: the inputs of the model.
        inputs, averages, log_odds: call arguments of `Graph`.
    """

    def __init__(self, symbolic, inputs, averages, log_odds):
        self.log_odds = log_odds
        self.known, self.averages = {}, {}
        self.add(symbolic, inputs)
        for tensor, means in zip(symbolic, averages, strict=True):
            if means is not None:
                self.averages[id(tensor)] = means

    def __getitem__(self, symbolic):
        return self.known[id(symbolic)]

    def add(self, symbolic, tensors):
        for key, tensor in zip(symbolic, tensors, strict=True):
            # A layer may have lost what is known of the shape.
            if not tensor.shape.is_compatible_with(key.shape):
                raise TypeError(
                    "A layer makes the shape that it promised. Received: "
                    f"{producer(key).operation.name}, {key.shape} and then {tuple(tensor.shape)}. "
                    "Leave it out, if it works in training alone, or mend it."
                )
            tensor.set_shape(key.shape)
            self.known[id(key)] = tensor

    def average(self, symbolic):
        """Returns the averages of a tensor over its pixels, [B, C], computed once."""
        if id(symbolic) not in self.averages:
            self.averages[id(symbolic)] = average(self[symbolic])
        return self.averages[id(symbolic)]

    def odds_of(self, columns):
        return self.log_odds if self.log_odds.shape[1] == 1 else self.log_odds[:, columns]
