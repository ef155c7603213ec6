"""One pass of a network over labelled images, and what the paper's tables say of it."""

import dataclasses
from typing import Any

import numpy as np

from tfgates import costs


@dataclasses.dataclass(frozen=True)
class Result:
    """A policy on a data set, in the columns of the paper's tables; `_std` is None for one pass.

    Attributes:
        policy: its name.
        top1_error, top5_error: share of the images, in percent.
        rate: mean decision over gates and images, in [0, 1]; 1 for a network without gates.
        macs: multiply-adds per image; of a branch that `Expected` scales, all of them.
        macs_share: of the multiply-adds of the ungated network.
        gate_rates: mean decision of each gate, [G].
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
class Pass:
    """One pass over N images.

    Attributes:
        scores: [N, K], higher for more probable classes.
        decisions: [N, G].
        macs: multiply-adds of each image, [N].
        labels: [N].
        ungated: multiply-adds of the network without gates.
    """

    scores: np.ndarray
    decisions: np.ndarray
    macs: np.ndarray
    labels: np.ndarray
    ungated: int

    @classmethod
    def run(cls, network, classify, batches, scales=False):
        """Runs a network over all images of weight above 0.

        Args:
            network: built `GatedNetwork`.
            classify: function of images that returns probabilities [B, K] and decisions [B, G].
            batches: `tf.data.Dataset` of images, labels and weights.
            scales: whether closed branches are computed all the same.
        """
        found = []
        for images, labels, weights in batches:
            kept = weights.numpy() > 0
            labels = labels.numpy()
            labels = labels.argmax(axis=-1) if labels.ndim == 2 else labels
            found.append([np.asarray(values)[kept] for values in (*classify(images), labels)])
        probabilities, decisions, labels = map(np.concatenate, zip(*found, strict=True))
        cost = costs.count(network, images.shape[1:])
        executed = np.ones_like(decisions) if scales else decisions
        return cls(probabilities, decisions, cost.executed(executed), labels, cost.ungated)

    def error(self, k):
        """Percent of the images whose label is not among the k classes with the highest scores.

        Of equal classes the first counts as more probable, as in the served model.
        """
        order = np.argsort(-self.scores, axis=1, kind="stable")[:, :k]
        return 100.0 * float(np.mean((order != self.labels[:, None]).all(axis=1)))


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
    return Pass(
        scores=scores,
        decisions=np.mean([one.decisions for one in passes], axis=0),
        macs=np.sum([one.macs for one in passes], axis=0),
        labels=passes[0].labels,
        ungated=passes[0].ungated,
    )


def result(policy, passes):
    """Summarises the passes of one policy as a `Result`."""
    measured: dict[str, list[float]] = {
        "top1_error": [one.error(1) for one in passes],
        "top5_error": [one.error(5) for one in passes],
        "rate": [float(one.decisions.mean()) if one.decisions.size else 1.0 for one in passes],
        "macs": [float(one.macs.mean()) for one in passes],
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
        gate_rates=np.mean([one.decisions.mean(axis=0) for one in passes], axis=0).tolist(),
    )
