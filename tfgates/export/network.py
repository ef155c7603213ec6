"""A network at inference as TensorFlow operations, ready for skipping.

Between two blocks go the features and their averages over the pixels, which the next gate reads; a
closed block with an identity shortcut changes neither.
"""

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.ops import convert_to_numpy

from tfgates.export.fold import Affine, Operation, chain, fold, global_average_pool
from tfgates.export.skipping import SKIPS
from tfgates.gates import DependentGate, IndependentGate


class SkippingNetwork:
    """A `GatedNetwork` at inference, as TensorFlow operations.

    Args:
        network: the built `GatedNetwork`; its weights are copied.
        skip: a key of `SKIPS`, how closed blocks are skipped. "loop": image by image, side by
            side, each on its own path. "gather": block by block, each on the images for which it
            is open. "none": not at all; every block runs on every image, as accelerators like it.
        place: where the weights stand, see `fold`.
    """

    def __init__(self, network, skip="loop", place=np.asarray):
        self.num_classes = network.num_classes
        self.num_gates = network.num_gates
        self._skip = skip
        self._stem = fold(network.stem.layers, place)
        self._blocks = [_block(block, place) for block in network.blocks]
        average, *classifier = network.head.layers
        if not isinstance(average, keras.layers.GlobalAveragePooling2D):
            raise TypeError(
                "Export knows heads that begin with GlobalAveragePooling2D. "
                f"Received: {type(average).__name__}."
            )
        self._classifier = fold(classifier, place)

    def __call__(self, images, log_odds, valid):
        """Classifies images, each at its own threshold.

        Args:
            images: float32 [N, H, W, C] with static H, W, C: inputs of the network.
            log_odds: float32 [N], or [N, G] for a threshold of each gate; a gate opens when its
                logit is greater.
            valid: bool [N]; where it is false nothing is computed.

        Returns:
            Probabilities float32 [N, K] and decisions bool [N, G], zeros where not valid.
        """
        return SKIPS[self._skip](self, images, log_odds, valid)

    def run(self, images, log_odds, step):
        """Runs the chain on some images, at least one.

        Args:
            images: [B, H, W, C].
            log_odds: [B] or [B, G].
            step: function of a block, features, averages, and decisions [B], that returns the
                features and averages behind the block.

        Returns:
            Probabilities [B, K] and decisions [B, G].
        """
        features = self._stem(images)
        averages = global_average_pool(features)
        if log_odds.shape.rank == 1:
            log_odds = log_odds[:, None]
        decisions, first = [tf.zeros([tf.shape(images)[0], 0], tf.bool)], 0
        for block in self._blocks:
            if block.logits is None:
                features, averages = block.open(features, block.project(features))
                continue
            odds = log_odds
            if log_odds.shape[1] > 1:
                odds = log_odds[:, first : first + block.num_gates]
            first += block.num_gates
            opened = block.decide(averages, odds)
            decisions.append(opened)
            if block.num_gates == 1:
                features, averages = step(block, features, averages, opened[:, 0])
            else:
                # Some groups of its filters are open for nearly every image.
                features, averages = block.open(features, block.project(features), opened)
        return tf.nn.softmax(self._classifier(averages)), tf.concat(decisions, 1)

    def nothing(self, *shape):
        """Returns the answer for images that are not valid."""
        return tf.zeros([*shape, self.num_classes]), tf.zeros([*shape, self.num_gates], tf.bool)


@dataclasses.dataclass(frozen=True)
class Block:
    """One block; None stands for no branch, an identity shortcut, no gate, and no tail.

    Attributes:
        branch, tail: the residual function up to where groups of its filters are masked, and the
            rest of it.
        shortcut: the projection.
        logits: function of averages [B, C] that returns the logits of its gates, [B, num_gates].
        num_gates: number of its decisions on an image.
    """

    branch: Operation | None
    shortcut: Operation | None
    logits: Any = None
    tail: Operation | None = None
    num_gates: int = 0

    def decide(self, averages, log_odds):
        """Returns decisions, bool [B, num_gates]; log_odds are [B, num_gates] or [B, 1]."""
        logits = self.logits(averages)
        opened = logits > log_odds
        if self.tail is None:
            return opened
        greatest = tf.one_hot(tf.argmax(logits, 1), self.num_gates, True, False)
        return opened | (greatest & ~tf.reduce_any(opened, 1, keepdims=True))

    def project(self, features):
        return features if self.shortcut is None else self.shortcut(features)

    def open(self, features, projected, groups=None):
        """Runs the branch; groups: which of its filters are not masked, bool [B, num_gates]."""
        if self.branch is not None:
            branch = self.branch(features)
            if groups is not None:
                filters = branch.shape[-1] // self.num_gates
                mask = tf.repeat(tf.cast(groups, branch.dtype), filters, axis=1)
                branch *= mask[:, None, None, :]
            projected += branch if self.tail is None else self.tail(branch)
        features = tf.nn.relu(projected)
        return features, global_average_pool(features)

    def close(self, projected, averages):
        # What enters a block went through a ReLU: the closed identity block is the identity.
        if self.shortcut is None:
            return projected, averages
        features = tf.nn.relu(projected)
        return features, global_average_pool(features)


def _block(block, place):
    shortcut = None if block.shortcut is None else fold(block.shortcut.layers, place)
    if block.gate is None:
        layers = block.layers_of_branch
        return Block(fold(layers, place) if layers else None, shortcut)
    return Block(
        branch=fold([*block.branch.layers, block.norm], place),
        shortcut=shortcut,
        logits=_logits(block.gate, place),
        tail=None if block.tail is None else fold(block.tail.layers, place),
        num_gates=block.num_gates,
    )


def _logits(gate, place):
    """Returns the function, averages [B, C] -> logits [B, groups], of a gate."""
    if isinstance(gate, IndependentGate):
        odds = place(np.reshape(np.float32(gate.log_odds), [1, gate.groups]))
        return lambda averages: tf.repeat(odds, tf.shape(averages)[0], axis=0)
    if isinstance(gate, DependentGate):
        kernel, bias = convert_to_numpy(gate.off_on.kernel), convert_to_numpy(gate.off_on.bias)
        # One column for each (off, on): their difference.
        difference = Affine(kernel[:, 1::2] - kernel[:, 0::2], bias[1::2] - bias[0::2])
        hidden = fold([gate.hidden, gate.norm, keras.layers.ReLU()], place)
        return chain([hidden, difference], place)
    raise TypeError(f"Export knows no gate of the kind {type(gate).__name__}.")
