"""Ways of skipping: a closed block costs its gate and its shortcut, nothing else."""

import tensorflow as tf

PARALLEL_IMAGES = 32
# Multiply-adds of a branch from which the loop is the faster one; benchmarks/results/skipping.md.
LARGE_BRANCH = 50_000_000


def loop(network, images, log_odds, valid):
    """Runs a network image by image, side by side, each on its own path."""

    def one_image(arguments):
        image, odds, is_valid = arguments

        def answer():
            return [part[0] for part in network.run(image[None], odds[None], switch)]

        return tf.cond(is_valid, answer, lambda: list(network.nothing()))

    return tf.map_fn(
        one_image,
        (images, log_odds, valid),
        fn_output_signature=[
            tf.TensorSpec([network.num_classes], tf.float32),
            tf.TensorSpec([network.num_gates], tf.bool),
        ],
        parallel_iterations=PARALLEL_IMAGES,
    )


def switch(block, features, averages, opened):
    """Runs a block for one image, or does not."""
    projected = block.project(features)
    return tf.cond(
        opened[0],
        lambda: block.open(features, projected),
        lambda: block.close(projected, averages),
    )


def batch(step):
    """Returns the function that runs the valid images of a batch together."""

    def run(network, images, log_odds, valid):
        indices = tf.where(valid)
        count = tf.size(valid)

        def answer():
            chosen = tf.gather_nd(images, indices), tf.gather_nd(log_odds, indices)
            probabilities, decisions = network.run(*chosen, step)
            # As one, because a scatter of no columns is refused.
            rows = tf.concat([probabilities, tf.cast(decisions, tf.float32)], 1)
            rows = tf.scatter_nd(indices, rows, [count, network.num_classes + decisions.shape[1]])
            return rows[:, : network.num_classes], rows[:, network.num_classes :] > 0

        # A convolution of no images has a wrong shape in oneDNN.
        return tf.cond(tf.reduce_any(valid), answer, lambda: network.nothing(count))

    return run


def gather(block, features, averages, opened):
    """Runs a block on the images that it is open for."""
    projected = block.project(features)
    indices = tf.where(opened)
    every = tf.reduce_all(opened)

    # Only the copies are guarded, so that the branch stands in the graph once.
    def take(tensor):
        some = tf.cond(every, lambda: tensor, lambda: tf.gather_nd(tensor, indices))
        some.set_shape([None, *tensor.shape[1:]])
        return some

    def run():
        taken = take(features)
        # The very tensor where it is the same one: only then is the sum fused into the branch.
        ran = block.open(taken, taken if block.shortcut is None else take(projected))

        def put():
            pairs = zip(block.close(projected, averages), ran, strict=True)
            return [tf.tensor_scatter_nd_update(old, indices, new) for old, new in pairs]

        return tf.cond(every, lambda: list(ran), put)

    return tf.cond(tf.reduce_any(opened), run, lambda: list(block.close(projected, averages)))


def select(block, features, averages, opened):
    """Runs a block on all images and keeps what came of those that it is open for."""
    projected = block.project(features)
    pairs = zip(block.open(features, projected), block.close(projected, averages), strict=True)
    return [
        tf.where(tf.reshape(opened, [-1] + [1] * (ran.shape.rank - 1)), ran, closed)
        for ran, closed in pairs
    ]


SKIPS = {"loop": loop, "gather": batch(gather), "none": batch(select)}


def best_skip(branches):
    """Chooses how closed blocks are skipped best, by the size of the branches.

    An image alone costs small blocks more than it would in a batch, so they are run for several
    images together; large ones lose more by gathering.

    Args:
        branches: multiply-adds of the branches that a gate may close; none is a plain network.

    Returns:
        A key of `SKIPS`.
    """
    return "loop" if branches and sum(branches) / len(branches) >= LARGE_BRANCH else "gather"
