"""Targets: what the rates of some gates are drawn to, as descriptions (sections 2.1, 3.1, S2.2)."""

import dataclasses
import fnmatch
from typing import Any

import keras
import numpy as np
from keras import ops

from tfgates.losses import PENALTIES, TARGET_LOSSES, per_batch, per_gate
from tfgates.schedules import Schedule

CONSTANT = Schedule()
# A weight that finds itself: that of the penalty, and how fast the multiplier follows the excess.
AUTO, PENALTY_WEIGHT, PACE = "auto", 4.0, 0.01


@keras.saving.register_keras_serializable(package="tfgates")
@dataclasses.dataclass(frozen=True)
class Target:
    """What the rates of some gates are drawn to, and how strongly.

    It is a description: it holds no variable and knows no network, until it is asked which of the
    columns of one are its own. The rate of a gate inside of another one is that over the images
    which reach it.

    Args:
        rate: the wanted share of executed branches, in [0, 1]; or one for each decision of its
            gates, in the order of the network.
        scope: "per_batch" or "per_gate", see `tfgates.losses`.
        penalty: "quadratic", "constant_quadratic" or "reversed_quadratic", of what exceeds the
            rate, see `tfgates.losses`.
        gates: name of a `Gated` layer, or pattern of names as "layer*", or several of them; None:
            all gates.
        weights: of each decision of its gates in the mean of the per-batch loss, not negative, as
            the multiply-adds of the branches; None weighs all alike.
        weight: factor of the loss (lambda), not negative; or "auto": a multiplier of the excess
            beside the penalty, which rises while the rate is above the target and falls while it is
            below, see `follow`.
        schedule: `Schedule` of rate, loss and noise over the epochs. Not saved with a model.

    Raises:
        ValueError: an argument out of its range.
    """

    rate: Any = 0.5
    scope: str = "per_batch"
    penalty: str = "quadratic"
    gates: Any = None
    weights: Any = None
    weight: Any = 1.0
    schedule: Schedule = CONSTANT

    def __post_init__(self):
        for name, known in (("scope", TARGET_LOSSES), ("penalty", PENALTIES)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"`{name}` is one of {', '.join(known)}. Received: {getattr(self, name)!r}."
                )
        for name in ("rate", "weights"):
            # Of NumPy arrays and lists, what can be compared and written down.
            object.__setattr__(self, name, _numbers(getattr(self, name)))
        if isinstance(self.gates, list):
            object.__setattr__(self, "gates", tuple(self.gates))
        if not all(0 <= rate <= 1 for rate in np.ravel(self.rate)):
            raise ValueError(
                "`rate` is the share of executed branches, in [0, 1], or one for each gate. "
                f"Received: rate={self.rate}. For 40 percent pass 0.4."
            )
        if self.weight != AUTO and (isinstance(self.weight, str) or not self.weight >= 0):
            raise ValueError(f"`weight` is auto, or not negative. Received: weight={self.weight}.")
        weights = self.weights
        if weights is not None and not (sum(weights) > 0 and all(one >= 0 for one in weights)):
            raise ValueError(
                "`weights` has one number for each gate, none negative and not all 0. Received: "
                f"weights={list(weights)}."
            )

    def columns(self, columns):
        """Returns the indices of its decisions.

        Args:
            columns: slices by name of a gate, see `tfgates.network.columns`.

        Raises:
            ValueError: a pattern that fits no gate; rates or weights of another number.
        """
        patterns = [self.gates] if isinstance(self.gates, str) else self.gates
        for pattern in patterns or ():
            if not fnmatch.filter(columns, pattern):
                raise ValueError(
                    f"`gates` has names of gates, or patterns of them. Received: {pattern!r}, "
                    f"which fits none of {', '.join([*columns][:8]) or '0 gates'}."
                )
        own = [
            column
            for name, part in columns.items()
            if patterns is None or any(fnmatch.fnmatchcase(name, one) for one in patterns)
            for column in range(part.start, part.stop)
        ]
        for name in ("rate", "weights"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != len(own):
                raise ValueError(
                    f"`{name}` has one number for each of the {len(own)} gates of the target. "
                    f"Received: {name}={list(value)}."
                )
        return own

    def loss(self, rates, rate=None, share=1.0, multiplier=None):
        """Returns what rates cost, a scalar; 0 on target.

        Args:
            rates: of its gates, [G], the mean of each decision over the global batch.
            rate: what a schedule has made of its own rate, a scalar or [G]; None: its own.
            share: of the per-batch loss, in [0, 1], the rest being the per-gate loss, of a target
                whose scope is the batch.
            multiplier: where its weight is "auto", what `follow` has made of it; None: nothing yet.
        """
        rate = ops.convert_to_tensor(self.rate if rate is None else rate, rates.dtype)
        loss = per_gate(rates, rate, PENALTIES[self.penalty])
        if self.scope == "per_batch":
            share = ops.convert_to_tensor(share, rates.dtype)
            of_batch = per_batch(rates, rate, PENALTIES[self.penalty], self.weights)
            loss = share * of_batch + (1 - share) * loss
        if self.weight != AUTO:
            return self.weight * loss
        loss = PENALTY_WEIGHT * loss
        if multiplier is None:
            return loss
        return loss + ops.mean(ops.cast(multiplier, rates.dtype) * self.excess(rates, rate))

    def excess(self, rates, rate):
        """Returns rates less what they are drawn to: [1] of the batch as a whole, or [G].

        Args:
            rates: of its gates, [G].
            rate: what they are drawn to, a scalar or [G].
        """
        excess = ops.convert_to_tensor(rates - rate)
        if self.scope == "per_gate":
            return excess
        if self.weights is None:
            return ops.mean(excess, keepdims=True)
        weights = ops.convert_to_tensor(self.weights, excess.dtype)
        return ops.sum(excess * weights, keepdims=True) / ops.sum(weights)

    def follow(self, multiplier, excess):
        """mu + PACE * excess after a batch, the method of multipliers (Hestenes, 1969).

        With the loss mu * excess + PENALTY_WEIGHT * penalty(excess) the excess itself comes to 0,
        whatever the labels ask for; a penalty of a fixed weight stops where both pull alike. Where
        a penalty is of one side, so is mu (Nocedal and Wright, 2006, section 17.3).

        Args:
            multiplier: mu, [1] of the batch as a whole, or [G]; 0 at first.
            excess: of `excess`.
        """
        multiplier = multiplier + PACE * ops.cast(excess, multiplier.dtype)
        if self.penalty == "constant_quadratic":
            return ops.maximum(multiplier, 0.0)
        if self.penalty == "reversed_quadratic":
            return ops.minimum(multiplier, 0.0)
        return multiplier

    def get_config(self):
        names = ("rate", "scope", "penalty", "gates", "weights", "weight")
        config = {name: getattr(self, name) for name in names}
        return {n: list(one) if isinstance(one, tuple) else one for n, one in config.items()}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _numbers(value):
    """Returns a number, or a tuple of numbers, as Python's."""
    if value is None:
        return None
    value = np.asarray(value, "float64").tolist()
    return tuple(value) if isinstance(value, list) else value
