"""What a network answers to labelled images, and what the paper's tables say of it."""

import dataclasses
from typing import Any

import numpy as np

from tfgates.losses import reached


@dataclasses.dataclass(frozen=True)
class Result:
    """A policy on a data set, in the columns of the paper's tables; `_std` is None for one pass.

    Attributes:
        policy: its name.
        top1_error, top5_error: share of the images, in percent.
        rate: mean of the rates of the gates, in [0, 1]; 1 for a network without gates.
        macs: multiply-adds per image; of a branch that `Expected` scales, all of them.
        macs_share: of the multiply-adds of the ungated network.
        gate_rates: mean decision of each gate over the images that reach it, [G].
    """

    policy: str
    top1_error: float
    top5_error: float
    rate: float
    macs: float
    macs_share: float
    gate_rates: list[float]
    top1_error_std: float | None = None
    top5_error_std: float | None = None
    rate_std: float | None = None
    macs_std: float | None = None


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a network answers to a batch of B images under a policy.

    Attributes:
        scores: [B, K], higher for more probable classes.
        decisions: [B, G].
        macs: multiply-adds of each image, [B].
        labels: [B].
        ungated: multiply-adds of the network without gates.
        parents: of each gate the column of the one around it, see `tfgates.network.parents`.
    """

    scores: np.ndarray
    decisions: np.ndarray
    macs: np.ndarray
    labels: np.ndarray
    ungated: int
    parents: tuple = ()


def averaged(passes):
    """An ensemble that averages the probabilities of its passes; the work is that of all."""
    return _together(passes, np.mean([one.scores for one in passes], axis=0))


def voted(passes):
    """An ensemble in which each pass votes for one class; equal votes go by mean probability."""
    votes = np.zeros_like(passes[0].scores)
    for one in passes:
        votes[np.arange(len(votes)), one.scores.argmax(axis=1)] += 1
    return _together(passes, votes + np.mean([one.scores for one in passes], axis=0) / 2)


def _together(passes, scores):
    return Answers(
        scores=scores,
        decisions=np.mean([one.decisions for one in passes], axis=0),
        macs=np.sum([one.macs for one in passes], axis=0),
        labels=passes[0].labels,
        ungated=passes[0].ungated,
        parents=passes[0].parents,
    )


class Tally:
    """The sums of a pass over the images so far: of their scores nothing else is kept.

    Attributes:
        images: their number.
        ungated: multiply-adds of the network without gates.
    """

    def __init__(self):
        self.images = self.ungated = 0
        self._parents: Any = ()
        self._wrong = {1: 0, 5: 0}
        self._decisions: Any = 0.0
        self._macs = 0.0

    def add(self, answers):
        """Adds the `Answers` to a batch.

        Of equal classes the first counts as more probable, as in the served model.
        """
        best = np.argsort(-answers.scores, axis=1, kind="stable")[:, : max(self._wrong)]
        right = best == answers.labels[:, None]
        for k in self._wrong:
            self._wrong[k] += int(np.sum(~right[:, :k].any(axis=1)))
        self._decisions = self._decisions + answers.decisions.sum(axis=0, dtype="float64")
        self._macs += float(answers.macs.sum())
        self.images += len(right)
        self.ungated, self._parents = answers.ungated, answers.parents

    def error(self, k):
        """Percent of the images whose label is not among the k, 1 or 5, most probable classes."""
        return 100.0 * (self._wrong[k] / self.images)

    @property
    def gate_rates(self):
        """Mean decision of each gate over the images that reach it, float64 [G]."""
        return np.asarray(reached(self._decisions / self.images, self._parents))

    @property
    def rate(self):
        """Mean decision over gates and images; 1 without gates."""
        return float(self.gate_rates.mean()) if self.gate_rates.size else 1.0

    @property
    def macs(self):
        """Multiply-adds per image."""
        return self._macs / self.images


def summarize(answers):
    """Summarizes the answers to all batches.

    Args:
        answers: iterable of dicts, one for each batch: by name of a policy, a list of `Answers`,
            one for each of its passes.

    Returns:
        List of `Result`, one for each name.
    """
    tallies: dict[str, list[Tally]] = {}
    for by_policy in answers:
        for policy, passes in by_policy.items():
            own = tallies.setdefault(policy, [Tally() for _ in passes])
            for tally, one in zip(own, passes, strict=True):
                tally.add(one)
    return [result(policy, own) for policy, own in tallies.items()]


def result(policy, passes):
    """Summarizes the passes of one policy, each a `Tally`, as a `Result`."""
    measured: dict[str, list[float]] = {
        "top1_error": [one.error(1) for one in passes],
        "top5_error": [one.error(5) for one in passes],
        "rate": [one.rate for one in passes],
        "macs": [one.macs for one in passes],
    }
    means: dict[str, Any] = {name: float(np.mean(values)) for name, values in measured.items()}
    stds: dict[str, Any] = {
        f"{name}_std": float(np.std(values, ddof=1)) if len(passes) > 1 else None
        for name, values in measured.items()
    }
    return Result(
        policy=policy,
        **means,
        **stds,
        macs_share=means["macs"] / passes[0].ungated,
        gate_rates=np.mean([one.gate_rates for one in passes], axis=0).tolist(),
    )
