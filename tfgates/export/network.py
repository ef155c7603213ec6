"""A network at inference as TensorFlow operations, ready for skipping.

Between two blocks go the features and their averages over the pixels, which the next gate reads; a
closed block with an identity shortcut changes neither.
"""

import dataclasses

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
        fixed: decisions made beforehand, bool by index of the gate. A block that is closed for
            good is left out, one that is open for good loses its gate.
        place: where the weights stand, see `fold`.
    """

    def __init__(self, network, skip="loop", fixed=None, place=np.asarray):
        fixed = fixed or {}
        self.num_classes = network.num_classes
        # Of each gate its fixed decision, or None where the gate is still there.
        self.columns = [fixed.get(index) for index in range(network.num_gates)]
        self._skip = skip
        self._stem = fold(network.stem.layers, place)
        decisions = iter(self.columns)
        blocks = [
            _block(block, None if block.gate is None else next(decisions), place)
            for block in network.blocks
        ]
        self._blocks = [block for block in blocks if block.branch or block.shortcut]
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
        columns = [tf.fill(tf.shape(images)[:1], bool(fixed)) for fixed in self.columns]
        live = (index for index, fixed in enumerate(self.columns) if fixed is None)
        for block in self._blocks:
            if block.logit is None:
                features, averages = block.open(features, block.project(features))
                continue
            gate = next(live)
            threshold = log_odds if log_odds.shape.rank == 1 else log_odds[:, gate]
            columns[gate] = block.logit(averages) > threshold
            features, averages = step(block, features, averages, columns[gate])
        probabilities = tf.nn.softmax(self._classifier(averages))
        decisions = tf.stack(columns, 1) if columns else tf.zeros([tf.shape(images)[0], 0], tf.bool)
        return probabilities, decisions

    def nothing(self, *shape):
        """Returns the answer for images that are not valid."""
        return tf.zeros([*shape, self.num_classes]), tf.zeros([*shape, len(self.columns)], tf.bool)


@dataclasses.dataclass(frozen=True)
class Block:
    """One block; None stands for no branch, an identity shortcut, and no gate."""

    branch: Operation | None
    shortcut: Operation | None
    logit: Operation | None

    def project(self, features):
        return features if self.shortcut is None else self.shortcut(features)

    def open(self, features, projected):
        if self.branch is not None:
            projected += self.branch(features)
        features = tf.nn.relu(projected)
        return features, global_average_pool(features)

    def close(self, projected, averages):
        # What enters a block went through a ReLU: the closed identity block is the identity.
        if self.shortcut is None:
            return projected, averages
        features = tf.nn.relu(projected)
        return features, global_average_pool(features)


def _block(block, fixed, place):
    gone = block.branch is None or fixed is False
    return Block(
        branch=None if gone else fold([*block.branch.layers, block.norm], place),
        shortcut=None if block.shortcut is None else fold(block.shortcut.layers, place),
        logit=None if block.gate is None or fixed is not None else _logit(block.gate, place),
    )


def _logit(gate, place):
    """Returns the function, averages [B, C] -> logits [B], of a gate."""
    if isinstance(gate, IndependentGate):
        odds = place(np.float32(gate.log_odds))
        return lambda averages: tf.fill(tf.shape(averages)[:1], odds)
    if isinstance(gate, DependentGate):
        kernel, bias = convert_to_numpy(gate.off_on.kernel), convert_to_numpy(gate.off_on.bias)
        # One column: the difference of (off, on).
        difference = Affine(kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1])
        hidden = fold([gate.hidden, gate.norm, keras.layers.ReLU()], place)
        return chain([hidden, difference, lambda logits: logits[:, 0]], place)
    raise TypeError(f"Export knows no gate of the kind {type(gate).__name__}.")
