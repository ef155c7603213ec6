"""Policies: how the log-odds of a gate become a decision, 1 = the block is executed (section 3.2).

A policy is a small immutable object that is passed down the call and applied to the logits of each
gate: `decisions = policy(logits, noise)`. `noise` is a callable, logits -> Logistic(0, 1) draws of
their shape; only `Sample` calls it. Logits have shape [B]; decisions have the same shape and are
float32, or float64 where the logits are: half precision rounds probabilities near 0 and 1 away.
"""

import dataclasses
import math
from typing import Any

from keras import ops


def _at_least_float32(logits):
    logits = ops.convert_to_tensor(logits)
    return logits if logits.dtype == "float64" else ops.cast(logits, "float32")


@dataclasses.dataclass(frozen=True)
class Sample:
    """Draws each decision with its probability: training, and the paper's stochastic inference.

    Binary Gumbel-softmax at temperature 1, straight through: the value is the hard 0 or 1, the
    gradient that of the relaxed sample sigmoid(logits + noise) (section 2.1).

    Args:
        noise_scale: factor of the noise, a number or a tensor; 0 decides as `Threshold(0.5)` does,
            and keeps the gradient.
    """

    noise_scale: Any = 1.0

    def __call__(self, logits, noise):
        logits = _at_least_float32(logits)
        draws = ops.cast(noise(logits), logits.dtype)
        noisy = logits + ops.cast(self.noise_scale, logits.dtype) * draws
        relaxed = ops.sigmoid(noisy)
        hard = ops.cast(noisy > 0, logits.dtype)
        # The bracket is exactly 0, so the sum is exactly `hard`; the usual
        # relaxed + stop_gradient(hard - relaxed) is 0.99999994 for some draws.
        return hard + (relaxed - ops.stop_gradient(relaxed))


@dataclasses.dataclass(frozen=True)
class Threshold:
    """Opens a gate whose probability is greater than tau: deterministic inference (section 3.2).

    Args:
        tau: number in (0, 1), or a tensor of such numbers that broadcasts against the logits, as
            one tau per image of shape [B].

    Raises:
        ValueError: a number outside of (0, 1). The values of a tensor are not checked.
    """

    tau: Any = 0.5

    def __post_init__(self):
        if isinstance(self.tau, (int, float)) and not 0 < self.tau < 1:
            raise ValueError(
                f"`tau` is a probability in (0, 1). Received: tau={self.tau}. "
                "To keep every block open use AlwaysOpen()."
            )

    def __call__(self, logits, noise=None):
        logits = _at_least_float32(logits)
        return ops.cast(logits > ops.cast(log_odds(self.tau), logits.dtype), logits.dtype)


@dataclasses.dataclass(frozen=True)
class AlwaysOpen:
    """Opens every gate (section 3.2, "always on")."""

    def __call__(self, logits, noise=None):
        return ops.ones_like(_at_least_float32(logits))


@dataclasses.dataclass(frozen=True)
class Expected:
    """Scales each branch by its probability: stochastic depth at test time (section 2.1)."""

    def __call__(self, logits, noise=None):
        return ops.sigmoid(_at_least_float32(logits))


def log_odds(tau):
    """Returns log(tau / (1 - tau)): p > tau is tested as logit > log_odds(tau), without a sigmoid.

    Args:
        tau: number or tensor in (0, 1).
    """
    if isinstance(tau, (int, float)):
        return math.log(tau) - math.log1p(-tau)
    return ops.log(tau) - ops.log1p(-tau)
