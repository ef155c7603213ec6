"""Evaluates a network under each inference policy of the paper (sections 3.2, S4)."""

import dataclasses
import functools
import itertools
from typing import Any

import tensorflow as tf

from tfgates.graph.count import count
from tfgates.inference.passes import Answers, averaged, summarize, voted
from tfgates.network import (
    exits_of,
    logits_and_decisions,
    num_gates,
    parents,
    thresholds,
    usual_policy,
    with_exits,
)
from tfgates.policies import AlwaysClosed, AlwaysOpen, Expected, Sample, Threshold

PASSES = 5
STOCHASTIC = f"stochastic, {PASSES} passes"
ENSEMBLES = {f"ensemble of the {PASSES}, mean": averaged, f"ensemble of the {PASSES}, vote": voted}


def evaluate(network, batches, progress=None):
    """Evaluates a network under every policy of the paper.

    Args:
        network: functional model, gated or not.
        batches: `tf.data.Dataset` of images [B, H, W, C], labels [B] and weights [B]; images of
            weight 0 are left out. They are read once.
        progress: function called after each policy has seen a batch, with the number of batches
            done, over all passes, and of all; or None.

    Returns:
        List of `Result`, the network's own policy first. A network without gates
        has one policy, "no gates"; one with stochastic depth has no threshold.
    """
    if not num_gates(network):
        return summarize(passes(network, batches, {"no gates": [AlwaysOpen()]}, progress))
    own = usual_policy(network)
    policies: dict[str, list[Any]] = {
        "threshold 0.5" if own == Threshold() else "expected": [own],
        STOCHASTIC: [Sample()] * PASSES,
        "always open": [AlwaysOpen()],
    }
    if exits_of(network):
        policies["threshold 0.5, to the end"] = [with_exits(network, Threshold(), AlwaysOpen())]
        leaving = with_exits(network, Threshold(), AlwaysClosed())
        policies["threshold 0.5, leave at exit 1"] = [leaving]
    policies.setdefault("expected", [Expected()])
    return summarize(map(_with_ensembles, passes(network, batches, policies, progress)))


def _with_ensembles(answers):
    samples = answers[STOCHASTIC]
    return {**answers, **{name: [merged(samples)] for name, merged in ENSEMBLES.items()}}


def passes(network, batches, policies, progress=None):
    """Runs a network over each batch once for each policy; equal policies share a graph.

    Args:
        network, batches, progress: as of `evaluate`.
        policies: by name, a list of policies.

    Yields:
        For each batch a dict: by name, a list of `Answers`, one for each policy.
    """

    @functools.cache
    def classifier(policy):
        return tf.function(functools.partial(_classify, network, policy))

    classifiers = {name: list(map(classifier, some)) for name, some in policies.items()}
    yield from _answers(network, batches, classifiers, progress)


def evaluate_thresholds(network, batches, taus, progress=None):
    """Evaluates thresholds of the layers: each trades accuracy for multiply-adds.

    Exits keep their own, 0.5.

    Args:
        network: functional model with `Gated` layers.
        batches: as of `evaluate`; choose a threshold on validation images.
        taus: thresholds in (0, 1).
        progress: as of `evaluate`.

    Returns:
        List of `Result`, one for each threshold, whose policy is its number as text.
    """
    classify = tf.function(lambda images, tau: _classify(network, thresholds(network, tau), images))
    of_taus = [functools.partial(classify, tau=tf.constant(tau, tf.float32)) for tau in taus]
    classifiers = {str(index): [one] for index, one in enumerate(of_taus)}
    results = summarize(_answers(network, batches, classifiers, progress))
    return [
        dataclasses.replace(one, policy=f"{tau:g}") for one, tau in zip(results, taus, strict=True)
    ]


def _answers(network, batches, classifiers, progress):
    """Yields what each of the classifiers, lists by name, answers to each batch."""
    cost = count(network, batches.element_spec[0].shape[1:])
    total = sum(map(len, classifiers.values())) * int(batches.cardinality())
    done, around = itertools.count(1), tuple(parents(network))

    def answers(classify, images, labels, kept):
        scores, decisions, executed = (values.numpy()[kept] for values in classify(images))
        if progress is not None:
            progress(next(done), total)
        return Answers(
            scores, decisions, cost.executed(executed), labels[kept], cost.ungated, around
        )

    for images, labels, weights in batches:
        labels, kept = labels.numpy(), weights.numpy() > 0
        labels = labels.argmax(axis=-1) if labels.ndim == 2 else labels
        yield {
            name: [answers(classify, images, labels, kept) for classify in some]
            for name, some in classifiers.items()
        }


def _classify(network, policy, images):
    """Returns probabilities [B, K], decisions [B, G], and what is computed of the branches."""
    logits, decisions = logits_and_decisions(network(images, policy=policy, training=False))
    # `Expected` scales a branch that a decision would leave out.
    executed = tf.ones_like(decisions) if policy == Expected() else decisions
    # In float32 the small ones of a confident network are all exactly 0.
    return tf.nn.softmax(tf.cast(logits, tf.float64)), decisions, executed
