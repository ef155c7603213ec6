"""Policies: how the log-odds of a gate become a decision, 1 = the branch runs (section 3.2).

A policy is a small immutable object that is passed down the call and applied to the logits of each
gate: `decisions = policy(logits, noise)`. `noise` is a callable, logits -> Logistic(0, 1) draws of
their shape; only `Sample` calls it. Logits have shape [B], or [B, groups] of a gate that decides on
groups of filters; decisions have the same shape and are float32, or float64 where the logits are:
half precision rounds probabilities near 0 and 1 away.
"""

import dataclasses
import math
from typing import Any

import numpy as np
from keras import ops

# What can be checked before a graph runs: NumPy's scalars are no Python numbers.
NUMBERS = (int, float, np.number, np.ndarray, list, tuple)


def _at_least_float32(logits):
    logits = ops.convert_to_tensor(logits)
    return logits if logits.dtype == "float64" else ops.cast(logits, "float32")


@dataclasses.dataclass(frozen=True)
class Sample:
    """Draws each decision with its probability: training, and the paper's stochastic inference.

    Binary Gumbel-softmax, straight through: the value is the hard 0 or 1, the gradient that of the
    relaxed sample sigmoid((logits + noise) / T) (section 2.1; Jang et al., 2017, equation 2).

    Args:
        noise_scale: factor of the noise, a number or a tensor; 0 decides as `Threshold(0.5)` does,
            and keeps the gradient.
        temperature: above 0 (T), a number or a tensor, of the gradient alone: the higher, the more
            evenly all draws pull; 1 in the published code.
        draws: dict of the name of a `Gated` layer -> noise of its logits [B, groups], drawn for all
            of them at once; None: each draws its own.
    """

    noise_scale: Any = 1.0
    temperature: Any = 1.0
    draws: Any = dataclasses.field(default=None, compare=False)

    def __call__(self, logits, noise):
        logits = _at_least_float32(logits)
        draws = ops.cast(noise(logits), logits.dtype)
        noisy = logits + ops.cast(self.noise_scale, logits.dtype) * draws
        relaxed = ops.sigmoid(noisy / ops.cast(self.temperature, logits.dtype))
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
        numbers = np.asarray(self.tau) if isinstance(self.tau, NUMBERS) else np.array(0.5)
        if not ((numbers > 0) & (numbers < 1)).all():
            raise ValueError(
                f"`tau` is a probability in (0, 1). Received: tau={self.tau}. "
                "To keep every branch open use AlwaysOpen()."
            )

    def __call__(self, logits, noise=None):
        logits = _at_least_float32(logits)
        odds = ops.cast(log_odds(self.tau), logits.dtype)
        if len(odds.shape) < len(logits.shape) and len(odds.shape) == 1:
            # One tau for each image, and several groups of filters.
            odds = odds[:, None]
        return ops.cast(logits > odds, logits.dtype)


@dataclasses.dataclass(frozen=True)
class AlwaysOpen:
    """Opens every gate (section 3.2, "always on")."""

    def __call__(self, logits, noise=None):
        return ops.ones_like(_at_least_float32(logits))


@dataclasses.dataclass(frozen=True)
class AlwaysClosed:
    """Closes every gate: of exits, every image leaves at the first one."""

    def __call__(self, logits, noise=None):
        return ops.zeros_like(_at_least_float32(logits))


@dataclasses.dataclass(frozen=True)
class Expected:
    """Scales each branch by its probability: stochastic depth at test time (section 2.1)."""

    def __call__(self, logits, noise=None):
        return ops.sigmoid(_at_least_float32(logits))


@dataclasses.dataclass(frozen=True)
class Given:
    """Takes decisions that were made elsewhere, as those of other images.

    Args:
        draws: dict of the name of a `Gated` layer -> decisions [B, groups], 0 or 1.
    """

    draws: Any = dataclasses.field(compare=False)

    def __call__(self, logits, noise):
        return ops.cast(noise(logits), _at_least_float32(logits).dtype)


@dataclasses.dataclass(frozen=True)
class WithExits:
    """One policy for the exits of a network, another for its layers: a gate asks for its own.

    `tfgates.network.with_exits` makes it. Both are thresholds as a rule: the greater tau, the fewer
    layers run; the greater the other one, the more images leave early.

    Args:
        names: of the exits, `Gated` layers.
        layers, exits: policies.
    """

    names: tuple[str, ...]
    layers: Any
    exits: Any

    def of(self, name):
        """Returns the policy of a `Gated` layer."""
        return self.exits if name in self.names else self.layers


def log_odds(tau):
    """Returns log(tau / (1 - tau)): p > tau is tested as logit > log_odds(tau), without a sigmoid.

    Args:
        tau: number or tensor in (0, 1).
    """
    if isinstance(tau, (int, float, np.number)):
        return math.log(tau) - math.log1p(-tau)
    tau = ops.convert_to_tensor(tau)
    return ops.log(tau) - ops.log1p(-tau)
