"""Target losses: how far the rates of the gates are from the target rate.

Pure functions of `rates` [G], the mean decision of each gate over the global batch, each in [0, 1];
and of `target`, the wanted share of executed blocks, a scalar or one number per gate [G].
"""

from keras import ops


def per_gate(rates, target):
    """L_G = mean over gates of (t - rate)^2, ConvNet-AIG's loss (section 2.1).

    Args:
        rates: [G], in [0, 1].
        target: scalar or [G], in [0, 1].

    Returns:
        Scalar; 0 when every gate is open at the target rate.
    """
    return ops.mean(ops.square(target - rates))


def per_batch(rates, target):
    """L_B = (t - mean over gates and images of z)^2, the paper's loss (section 3.1).

    Args:
        rates: [G], in [0, 1].
        target: scalar or [G], in [0, 1].

    Returns:
        Scalar; 0 when the batch as a whole runs the target share of its blocks.
    """
    return ops.square(ops.mean(target - rates))


TARGET_LOSSES = {"per_batch": per_batch, "per_gate": per_gate}


def weight_penalty(weights):
    """Sum of w^2 / 2: its gradient w is the weight decay of SGD as the paper trains it.

    Args:
        weights: list of float variables of any shape.

    Returns:
        Scalar. Keras's own `weight_decay` is decoupled from the momentum, about ten times weaker
        at momentum 0.9.
    """
    return sum(ops.sum(ops.square(weight)) for weight in weights) / 2
