"""Evaluates a network under each inference policy of the paper (sections 3.2, S4)."""

import functools
import itertools

import tensorflow as tf

from tfgates.inference.passes import Pass, averaged, result, voted
from tfgates.policies import AlwaysOpen, Expected, Sample, Threshold

PASSES = 5


def evaluate(network, batches, progress=None):
    """Evaluates a network under every policy of the paper.

    Args:
        network: built `GatedNetwork`.
        batches: `tf.data.Dataset` of images [B, H, W, C], labels [B] and weights [B]; images of
            weight 0 are left out.
        progress: function called after each batch with the number of batches done, over all
            passes, and of all; or None.

    Returns:
        List of `Result`, the network's own policy first. A network without gates
        has one policy, "no gates"; one with stochastic depth has no threshold.
    """
    if not network.num_gates:
        return [result("no gates", list(passes(network, batches, [AlwaysOpen()], progress)))]
    by_threshold = network.inference_policy == Threshold()
    own = [Threshold()] if by_threshold else []
    policies = [*own, *[Sample()] * PASSES, AlwaysOpen(), Expected()]
    run = passes(network, batches, policies, progress)
    threshold = [result("threshold 0.5", [next(run)])] if by_threshold else []
    samples = [next(run) for _ in range(PASSES)]
    stochastic = [
        result(f"stochastic, {PASSES} passes", samples),
        result("always open", [next(run)]),
    ]
    expected = [result("expected", [next(run)])]
    return [
        *(threshold + stochastic + expected if by_threshold else expected + stochastic),
        result(f"ensemble of the {PASSES}, mean", [averaged(samples)]),
        result(f"ensemble of the {PASSES}, vote", [voted(samples)]),
    ]


def passes(network, batches, policies, progress=None):
    """Runs a network over images once for each policy; equal policies share a graph.

    Args:
        network, batches, progress: as of `evaluate`.
        policies: list of policies.

    Yields:
        A `Pass` for each.
    """

    @functools.cache
    def classifier(policy):
        return tf.function(functools.partial(_classify, network, policy))

    one_pass = _counted(batches, len(policies), progress)
    for policy in policies:
        yield Pass.run(network, classifier(policy), one_pass(), scales=policy == Expected())


def sweep(network, batches, taus, progress=None):
    """Evaluates thresholds: each trades accuracy for multiply-adds.

    Args:
        network: built `GatedNetwork` with gates.
        batches: as of `evaluate`; choose a threshold on validation images.
        taus: thresholds in (0, 1).
        progress: as of `evaluate`.

    Returns:
        List of `Result`, one for each threshold, whose policy is its number as text.
    """
    classify = tf.function(lambda images, tau: _classify(network, Threshold(tau), images))
    one_pass = _counted(batches, len(taus), progress)
    results = []
    for tau in taus:
        of_tau = functools.partial(classify, tau=tf.constant(tau, tf.float32))
        results.append(result(f"{tau:g}", [Pass.run(network, of_tau, one_pass())]))
    return results


def _counted(batches, passes, progress):
    """Returns a function that returns the batches of one of some passes, and reports them."""
    if progress is None:
        return lambda: batches
    total = passes * int(batches.cardinality())
    done = itertools.count(1)

    def one_pass():
        for batch in batches:
            yield batch
            progress(next(done), total)

    return one_pass


def _classify(network, policy, images):
    logits, decisions = network(images, policy=policy, training=False)
    # In float32 the small ones of a confident network are all exactly 0.
    return tf.nn.softmax(tf.cast(logits, tf.float64)), decisions
