"""What the exits of a network do: figure 9 of the paper (section 5)."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfgates.graph.count import count
from tfgates.graph.unrolling import EXITS, unrolled
from tfgates.network import columns, exits_of
from tfgates.policies import Threshold


@dataclasses.dataclass(frozen=True)
class ExitResult:
    """One exit, or the end, on a data set; a column of figure 9.

    Attributes:
        exit: its number from 1; the end comes last.
        share: of all images those that leave here, in [0, 1].
        rate: of the images that arrive here those that leave, in [0, 1]; 1 of the end.
        error_all: top-1 error of its classifier on all images, in percent.
        error_chosen: the same on the images that leave here; None where none does.
        macs: mean multiply-adds of those images; None where there are none.
    """

    exit: int
    share: float
    rate: float
    error_all: float
    error_chosen: float | None
    macs: float | None


def exit_of(decisions, going_on):
    """Returns the number of the exit at which each image leaves, from 1, int [N].

    Args:
        decisions: [N, G], those behind an exit 0 where an image has left there.
        going_on: columns of the exits among them, first to last.
    """
    return 1 + np.asarray(decisions)[:, going_on].astype(int).sum(axis=1)


def evaluate_exits(network, batches, policy=None, progress=None):
    """Evaluates the classifier of each exit, on all images and on those that leave there.

    Args:
        network: functional model with exits.
        batches: as of `tfgates.inference.evaluate.evaluate`.
        policy: of layers and exits; None is `Threshold(0.5)`.
        progress: function called with the number of batches done; or None.

    Returns:
        List of `ExitResult`, the end last.
    """
    whole, going_on = unrolled(network), exit_columns(network)
    cost = count(network, batches.element_spec[0].shape[1:])
    policy = policy or Threshold()

    @tf.function
    def answer(images):
        found = whole(images, policy=policy, training=False)
        return tf.argmax(found[EXITS], axis=-1), found["decisions"]

    wrong, left, macs = [], [], []
    for done, (images, labels, weights) in enumerate(batches, 1):
        kept = weights.numpy() > 0
        classes, decisions = (part.numpy()[kept] for part in answer(images))
        wrong.append(classes != labels.numpy()[kept][:, None])
        left.append(exit_of(decisions, going_on))
        macs.append(cost.executed(decisions))
        if progress is not None:
            progress(done)
    return summarize(*map(np.concatenate, (wrong, left, macs)))


def summarize(wrong, left, macs):
    """Summarizes the images, N, at the exits, E of them and the end.

    Args:
        wrong: whether each classifier is wrong, bool [N, E + 1].
        left: number of the exit of each image, from 1, [N].
        macs: its multiply-adds, [N].
    """
    found = []
    for number in range(1, wrong.shape[1] + 1):
        here, arrived = left == number, left >= number
        some = here.any()
        found.append(
            ExitResult(
                exit=number,
                share=float(here.mean()),
                rate=float(here.sum() / arrived.sum()) if arrived.any() else 0.0,
                error_all=float(100 * wrong[:, number - 1].mean()),
                error_chosen=float(100 * wrong[here, number - 1].mean()) if some else None,
                macs=float(macs[here].mean()) if some else None,
            )
        )
    return found


def exit_columns(network):
    """Returns the columns of the decisions of its exits, first to last."""
    parts = columns(network)
    return [parts[layer.name].start for layer in exits_of(network)]
