"""Schedules: how the target rate changes in the course of training (sections S2.1, S2.2).

A target schedule is a small immutable object of two pure functions, of the epoch and of the rates
that a batch showed. Both deal in a history [W, G], whose mean over W is the target of each gate:
`start(epoch, targets)` begins an epoch, `update(history, rates)` follows a batch. Every epoch
starts anew, so that a resumed run goes on as an unbroken one. Epochs are counted from 0.
"""

import dataclasses
from typing import Any

import numpy as np
from keras import ops


@dataclasses.dataclass(frozen=True)
class Constant:
    """The target is the same throughout."""

    def start(self, epoch, targets):
        """Begins an epoch.

        Args:
            epoch: from 0.
            targets: NumPy [G], the targets of the run, in [0, 1].

        Returns:
            History, NumPy [W, G]; W is the same in every epoch.
        """
        return targets[None]

    def update(self, history, rates):
        """Follows a batch.

        Args:
            history: [W, G].
            rates: [G], mean decision of each gate over the batch.

        Returns:
            The next history, [W, G].
        """
        return history


@dataclasses.dataclass(frozen=True)
class Annealed(Constant):
    """Comes down step by step, so that no block is given up greedily at first (section S2.1).

    A gate whose own target lies above a stage keeps its own.

    Args:
        stages: targets in [0, 1], such as (1, 0.95, 0.9, 0.85, 0.8); instead of the last one the
            targets of the run hold.
        epochs: of each stage (k), at least 1.
    """

    stages: tuple[float, ...]
    epochs: int = 5

    def start(self, epoch, targets):
        stage = epoch // self.epochs
        if stage >= len(self.stages) - 1:
            return targets[None]
        return np.maximum(targets, self.stages[stage])[None]


@dataclasses.dataclass(frozen=True)
class MovingAverage(Constant):
    """A variable target: the mean rate of the last batches (section S2.2).

    Each epoch starts as if they had all met the targets of the run.

    Args:
        window: number of batches, at least 1. With 1, as in the published code, the target is the
            rate of the batch before.
    """

    window: int = 1

    def start(self, epoch, targets):
        return np.repeat(targets[None], self.window, axis=0)

    def update(self, history, rates):
        return ops.concatenate([history[1:], rates[None]])


@dataclasses.dataclass(frozen=True)
class ExponentialMovingAverage(Constant):
    """A variable target: momentum * target + (1 - momentum) * rate after a batch (section S2.2).

    Args:
        momentum: in [0, 1); 0 is a moving average over one batch.
    """

    momentum: float = 0.9

    def update(self, history, rates):
        return self.momentum * history + (1 - self.momentum) * rates


@dataclasses.dataclass(frozen=True)
class Schedule:
    """What changes from epoch to epoch.

    Args:
        target: how the target does, `Constant` and the like.
        relax_epochs: epochs in which the per-gate loss gives way to the per-batch loss, which
            keeps gates from collapsing early; 0 for none.
        sample_epochs: epochs in which gates are sampled. After them the noise is off, and training
            sees the decisions of the threshold 0.5; 0 samples throughout.
        temperatures: of the relaxed sample in the first epoch and in the last one, both above 0;
            between them it falls, or rises, by the same factor from epoch to epoch.
        epochs: of the whole training, where the two differ.

    Raises:
        ValueError: temperatures out of their range, or two of them without `epochs`.
    """

    target: Any = Constant()
    relax_epochs: int = 0
    sample_epochs: int = 0
    temperatures: tuple[float, float] = (1.0, 1.0)
    epochs: int = 0

    def __post_init__(self):
        first, last = self.temperatures
        if not (first > 0 and last > 0) or (first != last and self.epochs < 1):
            raise ValueError(
                "`temperatures` are two numbers above 0, and between different ones lie `epochs`. "
                f"Received: temperatures={self.temperatures}, epochs={self.epochs}."
            )

    def per_batch_share(self, epoch):
        """Returns the share of the per-batch loss in an epoch, in [0, 1]."""
        return min(1.0, epoch / self.relax_epochs) if self.relax_epochs else 1.0

    def noise_scale(self, epoch):
        """Returns the factor of the noise of the gates in an epoch, 1 or 0."""
        return 0.0 if self.sample_epochs and epoch >= self.sample_epochs else 1.0

    def temperature(self, epoch):
        """Returns T_1 (T_N / T_1)^(epoch / (N - 1)) of N epochs, the temperature of an epoch."""
        first, last = self.temperatures
        if first == last:
            return first
        return first * (last / first) ** min(1.0, epoch / max(1, self.epochs - 1))
