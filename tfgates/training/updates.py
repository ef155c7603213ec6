"""What a step makes of the weights beside their gradients: their decay, the pace of the gates."""

from tfgates.losses import weight_penalty
from tfgates.network import gates

DECAYED = ("all", "kernels")


class Updates:
    """How the weights of a network follow the gradients of a loss.

    Args:
        network: functional model, gated or not.
        weight_decay: factor of the penalty on the weights, not negative.
        decayed: "all" trainable weights, or "kernels": not those of batch norm, biases, log-odds.
        decay_gates: whether those of the gates decay too.
        gate_learning_rate_factor: above 0, multiplies the gradients of the gates' weights: with SGD
            their learning rate.

    Raises:
        ValueError: an argument out of its range.
    """

    def __init__(self, network, weight_decay, decayed, decay_gates, gate_learning_rate_factor):
        if decayed not in DECAYED:
            raise ValueError(f"`decayed` is {' or '.join(DECAYED)}. Received: {decayed!r}.")
        if not weight_decay >= 0:
            raise ValueError(f"`weight_decay` is not negative. Received: {weight_decay}.")
        if not gate_learning_rate_factor > 0:
            raise ValueError(
                "`gate_learning_rate_factor` is above 0. Received: "
                f"gate_learning_rate_factor={gate_learning_rate_factor}. Pass 1 for one pace."
            )
        self._network = network
        self.weight_decay, self.decayed, self.decay_gates = weight_decay, decayed, decay_gates
        self.gate_learning_rate_factor = gate_learning_rate_factor

    def penalty(self, weights):
        """Returns weight_decay * sum of w^2 / 2 over the weights that decay, a scalar."""
        if not self.weight_decay:
            return 0.0
        kept = set() if self.decay_gates else self._of_gates()
        return self.weight_decay * weight_penalty(
            [
                weight
                for weight in weights
                # Also the depthwise_kernel and pointwise_kernel of a separable convolution.
                if id(weight) not in kept
                and (self.decayed == "all" or weight.name.endswith("kernel"))
            ]
        )

    def gradients(self, gradients, weights):
        """Returns the gradients of the weights, those of the gates multiplied."""
        if self.gate_learning_rate_factor == 1:
            return gradients
        faster = self._of_gates()
        return [
            gradient * self.gate_learning_rate_factor
            if gradient is not None and id(weight) in faster
            else gradient
            for gradient, weight in zip(gradients, weights, strict=True)
        ]

    def get_config(self):
        names = ("weight_decay", "decayed", "decay_gates", "gate_learning_rate_factor")
        return {name: getattr(self, name) for name in names}

    def _of_gates(self):
        return {id(w) for layer in gates(self._network) for w in layer.gate.trainable_variables}
