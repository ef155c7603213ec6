"""Ways of skipping: a closed branch costs its gate, nothing else."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfgates.export.interpreter import Graph
from tfgates.graph.count import count
from tfgates.graph.folding import fold
from tfgates.graph.nodes import mask_of, masked
from tfgates.graph.sinking import sink
from tfgates.network import columns, gates, num_classes, num_gates

PARALLEL_IMAGES = 32
# Multiply-adds of a branch from which the loop is the faster one; benchmarks/results/skipping.md.
LARGE_BRANCH = 50_000_000


def serve(model, skip="loop", place=np.asarray):
    """Returns a network as a function that skips what its gates close.

    Args:
        model: functional model of one input of a fixed size, with or without `Gated` layers; its
            weights are copied.
        skip: a key of `SKIPS`, how closed branches are skipped. "loop": image by image, side by
            side, each on its own path. "gather": gate by gate, each branch on the images for which
            it is open. "none": not at all; every branch runs on every image, as accelerators like
            it.
        place: function of a weight, a NumPy array, that returns what the graph reads. An array
            becomes a constant right where it is read, a `tf.Variable` stands beside the graph.

    Returns:
        Function of images float32 [N, H, W, C]; log_odds float32 [N], or [N, G] for a threshold of
        each gate, which opens where its logit is greater; and valid bool [N]. It returns
        probabilities float32 [N, K] and decisions bool [N, G], zeros where not valid: nothing is
        computed there.

    Raises, when called:
        TypeError: a layer that cannot be part of a TensorFlow graph.
    """
    over_images, over_arms = SKIPS[skip]
    graph = Graph(sink(fold(model)), over_arms, columns(model), place)
    num_logits, num_decisions = num_classes(model), num_gates(model)

    def classify(images, log_odds):
        logits, decisions, _ = graph([images], [None], log_odds)
        if decisions is None:
            decisions = tf.zeros([tf.shape(images)[0], 0], tf.bool)
        return tf.nn.softmax(logits), decisions

    def nothing(*shape):
        return tf.zeros([*shape, num_logits]), tf.zeros([*shape, num_decisions], tf.bool)

    def run(images, log_odds, valid):
        if log_odds.shape.rank == 1:
            log_odds = log_odds[:, None]
        return over_images(classify, nothing, images, log_odds, valid)

    return run


def loop(classify, nothing, images, log_odds, valid):
    """Runs a network image by image, side by side, each on its own path."""

    def one_image(arguments):
        image, odds, is_valid = arguments

        def answer():
            return tuple(part[0] for part in classify(image[None], odds[None]))

        return tf.cond(is_valid, answer, nothing)

    return tf.map_fn(
        one_image,
        (images, log_odds, valid),
        fn_output_signature=tuple(tf.TensorSpec(part.shape, part.dtype) for part in nothing()),
        parallel_iterations=PARALLEL_IMAGES,
    )


def together(classify, nothing, images, log_odds, valid):
    """Runs the valid images of a batch together."""
    indices = tf.where(valid)
    count = tf.size(valid)

    def answer():
        probabilities, decisions = classify(
            tf.gather_nd(images, indices), tf.gather_nd(log_odds, indices)
        )
        classes = probabilities.shape[1]
        # As one, because a scatter of no columns is refused.
        rows = tf.concat([probabilities, tf.cast(decisions, tf.float32)], 1)
        rows = tf.scatter_nd(indices, rows, [count, rows.shape[1]])
        return rows[:, :classes], rows[:, classes:] > 0

    # A convolution of no images has a wrong shape in oneDNN.
    return tf.cond(tf.reduce_any(valid), answer, lambda: nothing(count))


def switch(arms, inputs, averages, log_odds, opened):
    """Runs the one arm that an image wants."""
    given = inputs, averages, log_odds
    return tf.cond(opened[0], lambda: arms.open(*given), lambda: arms.close(*given))


def gather(arms, inputs, averages, log_odds, opened):
    """Runs each arm on the images that want it; a closed one that only passes on, on all."""

    def closed():
        if not arms.closing_computes:
            return arms.close(inputs, averages, log_odds)

        def nothing():
            return arms.nothing(tf.shape(opened)[0])

        some = tf.reduce_any(~opened)
        return tf.cond(some, lambda: _over(arms.close, ~opened, inputs, log_odds, nothing), nothing)

    return tf.cond(
        tf.reduce_any(opened),
        lambda: _over(arms.open, opened, inputs, log_odds, closed),
        closed,
    )


def _over(arm, chosen, inputs, log_odds, others):
    """Puts what an arm makes of the chosen images over the rows that `others` returns."""
    indices, every = tf.where(chosen), tf.reduce_all(chosen)

    # Only the copies are guarded, so that the arm stands in the graph once.
    def take(tensor):
        some = tf.cond(every, lambda: tensor, lambda: tf.gather_nd(tensor, indices))
        # Not `set_shape`: the number of images, whatever it is, is then known to be one number, and
        # the sum at the end of a branch is fused into its last convolution.
        some, mask = tf.ensure_shape(some, [None, *tensor.shape[1:]]), mask_of(tensor)
        return some if mask is None else masked(some, take(mask))

    ran = arm([take(tensor) for tensor in inputs], [None] * len(inputs), take(log_odds))

    def put():
        pairs = zip(others(), ran, strict=True)
        return [tf.tensor_scatter_nd_update(rows, indices, new) for rows, new in pairs]

    return tf.cond(every, lambda: list(ran), put)


def select(arms, inputs, averages, log_odds, opened):
    """Runs both arms on all images and keeps what each image wants."""
    given = inputs, averages, log_odds
    return [
        tf.where(tf.reshape(opened, [-1] + [1] * (ran.shape.rank - 1)), ran, closed)
        for ran, closed in zip(arms.open(*given), arms.close(*given), strict=True)
    ]


SKIPS = {"loop": (loop, switch), "gather": (together, gather), "none": (together, select)}
DEVICES = ("cpu", "gpu")


def best_skip(branches, device="cpu"):
    """Chooses how closed branches are skipped best, by their size.

    An image alone costs small branches more than it would in a batch, so they are run for several
    images together; large ones lose more by gathering. An accelerator waits for every decision
    longer than a branch takes it.

    Args:
        branches: multiply-adds of the branches that a gate may close, 0 where a closed one runs all
            the same; none is a plain network.
        device: one of `DEVICES`, which serves the network.

    Returns:
        A key of `SKIPS`.
    """
    skippable = [macs for macs in branches if macs]
    if device != "cpu" or not skippable:
        return "none"
    return "loop" if sum(skippable) / len(skippable) >= LARGE_BRANCH else "gather"


def as_run(costs, model, skip):
    """Returns the multiply-adds of an exported network, as they are run.

    Args:
        costs: `Costs` of the model.
        model: functional model.
        skip: a key of `SKIPS`. Of "none" both arms of each gate run for every image.
    """
    if skip != "none":
        return costs
    otherwise = [count(layer.otherwise) for layer in gates(model) if layer.otherwise is not None]
    always = costs.always + sum(costs.branches) + sum(other.always for other in otherwise)
    return dataclasses.replace(costs, always=always, branches=(0,) * len(costs.branches))
