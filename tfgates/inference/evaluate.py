"""Evaluates a network under each inference policy of the paper (sections 3.2, S4)."""

import dataclasses
import functools
from typing import Any

import numpy as np
import tensorflow as tf

from tfgates import costs
from tfgates.policies import AlwaysOpen, Expected, Sample, Threshold

PASSES = 5


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


def evaluate(network, batches, progress=None):
    """Evaluates a network under every policy of the paper.

    Args:
        network: built `GatedNetwork`.
        batches: `tf.data.Dataset` of images [B, H, W, C], labels [B] and weights [B]; images of
            weight 0 are left out.
        progress: function called with the number of passes done and of all passes; or None.

    Returns:
        List of `Result`. A network without gates has one policy, "no gates".
    """
    total = PASSES + 3 if network.num_gates else 1
    done = 0

    @functools.cache
    def classifier(policy):
        return tf.function(functools.partial(_classify, network, policy))

    def run(policy):
        nonlocal done
        found = _Pass.run(network, policy, classifier(policy), batches)
        done += 1
        if progress is not None:
            progress(done, total)
        return found

    if not network.num_gates:
        return [_result("no gates", [run(AlwaysOpen())])]
    threshold = run(Threshold(0.5))
    samples = [run(Sample()) for _ in range(PASSES)]
    return [
        _result("threshold 0.5", [threshold]),
        _result(f"stochastic, {PASSES} passes", samples),
        _result("always open", [run(AlwaysOpen())]),
        _result("expected", [run(Expected())]),
        _result(f"ensemble of the {PASSES}", [_ensemble(samples)]),
    ]


def _classify(network, policy, images):
    logits, decisions = network(images, policy=policy, training=False)
    # In float32 the small ones of a confident network are all exactly 0.
    return tf.nn.softmax(tf.cast(logits, tf.float64)), decisions


@dataclasses.dataclass(frozen=True)
class _Pass:
    """One pass over the images: probabilities [N, K], decisions [N, G], macs [N], labels [N]."""

    probabilities: np.ndarray
    decisions: np.ndarray
    macs: np.ndarray
    labels: np.ndarray
    ungated: int

    @classmethod
    def run(cls, network, policy, classify, batches):
        found = []
        for images, labels, weights in batches:
            kept = weights.numpy() > 0
            found.append([values.numpy()[kept] for values in (*classify(images), labels)])
        probabilities, decisions, labels = map(np.concatenate, zip(*found, strict=True))
        cost = costs.count(network, images.shape[1:])
        # A scaled branch is computed in full, whatever its scale.
        executed = np.ones_like(decisions) if policy == Expected() else decisions
        return cls(probabilities, decisions, cost.executed(executed), labels, cost.ungated)

    def error(self, k):
        """Percent of the images whose label is not among the k most probable classes.

        Of equal classes the first counts as more probable, as in the served model.
        """
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :k]
        return 100.0 * float(np.mean((order != self.labels[:, None]).all(axis=1)))


def _ensemble(passes):
    """Averages the probabilities of several passes; the work is that of all of them."""
    return _Pass(
        probabilities=np.mean([one.probabilities for one in passes], axis=0),
        decisions=np.mean([one.decisions for one in passes], axis=0),
        macs=np.sum([one.macs for one in passes], axis=0),
        labels=passes[0].labels,
        ungated=passes[0].ungated,
    )


def _result(policy, passes):
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
