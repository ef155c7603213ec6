"""How much is gained by looking at the image: the same work, decided otherwise.

Gates that look at the image may be no better than a choice of branches for all of them. Two
controls tell: the decisions are dealt to other images, so that each gate opens as often and every
set of branches runs as often as before, only not where it was wanted; and the best fixed set of
branches of no more multiply-adds, chosen on the validation images, runs for all.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tfgates.graph.count import count
from tfgates.network import columns, logits_and_decisions, num_gates
from tfgates.policies import Given, Threshold

# Images of the validation on which a set of branches is chosen.
CHOSEN_ON = 1000


@dataclasses.dataclass(frozen=True)
class Gain:
    """Top-1 errors on the test images, in percent.

    Attributes:
        own: each image with its own decisions, at the threshold 0.5.
        shuffled: with those of another image.
        fixed: all with the same branches.
        macs, fixed_macs: multiply-adds of a mean image with its own decisions, and of the others.
        kept: those branches, names of gates.
    """

    own: float
    shuffled: float
    fixed: float
    macs: float
    fixed_macs: float
    kept: list[str]


def measure_gain(network, validation, test, names, seed=0, progress=None):
    """Measures what a network gains by looking at the image.

    Args:
        network: functional model with gates that look at the image.
        validation, test: `tf.data.Dataset` of images [B, H, W, C], labels and weights [B]; images
            of weight 0 are left out.
        names: of the decisions, [G].
        seed: of the order in which decisions are dealt.
        progress: function called with the number of passes over images; or None.

    Returns:
        `Gain`.
    """
    passes = _Passes(network, progress)
    cost = count(network, test.element_spec[0].shape[1:])
    own, decisions = passes.own(test)
    dealt = decisions[np.random.default_rng(seed).permutation(len(decisions))]
    macs = float(cost.executed(decisions).mean())
    some = validation.unbatch().take(CHOSEN_ON).batch(250)
    kept = fixed_set(lambda opened: passes.error(some, opened), cost, macs)
    return Gain(
        own=own,
        shuffled=passes.error(test, dealt),
        fixed=passes.error(test, kept),
        macs=macs,
        fixed_macs=float(cost.executed(kept)),
        kept=[name for name, opened in zip(names, kept, strict=True) if opened],
    )


def fixed_set(error, cost, budget):
    """Chooses branches for all images: from all of them, the one goes that is missed least.

    That is repeated until the rest is within the budget; which of them is missed least is seen
    anew each time.

    Args:
        error: function of decisions, NumPy [G] of 0 and 1.
        cost: `tfgates.graph.count.Costs`.
        budget: multiply-adds of an image.

    Returns:
        Decisions, NumPy [G]; all closed where nothing else is cheap enough.
    """
    opened = np.ones(len(cost.branches), "float32")
    while cost.executed(opened) > budget * (1 + 1e-9) and opened.any():
        without = [opened * (np.arange(len(opened)) != gate) for gate in np.flatnonzero(opened)]
        opened = min(without, key=error)
    return opened


class _Passes:
    """Passes of a network over images: with its own decisions, or with given ones."""

    def __init__(self, network, progress):
        parts, self.done, self.progress = columns(network), 0, progress
        self.size = num_gates(network)

        @tf.function
        def own(images):
            logits, decisions = logits_and_decisions(network(images, policy=Threshold(0.5)))
            return tf.argmax(logits, axis=-1), decisions

        @tf.function
        def given(images, decisions):
            policy = Given({name: decisions[:, part] for name, part in parts.items()})
            return tf.argmax(logits_and_decisions(network(images, policy=policy))[0], axis=-1)

        self._own, self._given = own, given

    def own(self, batches):
        """Returns the error in percent, and the decisions [N, G]."""
        wrong, decisions = [], []
        for images, labels, kept in _kept(batches):
            answers, opened = (part.numpy() for part in self._own(images))
            wrong.append((answers != labels)[kept])
            decisions.append(opened[kept])
        self._count()
        return _percent(wrong), np.concatenate(decisions)

    def error(self, batches, decisions):
        """Returns the error under decisions of each image, [N, G], or of all of them, [G]."""
        wrong, done = [], 0
        for images, labels, kept in _kept(batches):
            of_batch = np.zeros((len(kept), self.size), "float32")
            own = decisions[done : done + kept.sum()] if decisions.ndim == 2 else decisions
            of_batch[kept] = own
            wrong.append((self._given(images, of_batch).numpy() != labels)[kept])
            done += int(kept.sum())
        self._count()
        return _percent(wrong)

    def _count(self):
        self.done += 1
        if self.progress is not None:
            self.progress(self.done)


def _kept(batches):
    """Yields images, labels and which of them count."""
    for images, labels, weights in batches:
        yield images, labels.numpy(), weights.numpy() > 0


def _percent(wrong):
    return float(100 * np.concatenate(wrong).mean())
