"""The graph that skips: a closed block costs its gate and its shortcut, nothing else.

The network runs image by image in a loop, and each branch stands in a `tf.cond`, so every image of
a batch takes its own path. Iterations of the loop run in parallel.
"""

import keras
import tensorflow as tf

from tfgates.export.fold import fold
from tfgates.gates import DependentGate, IndependentGate

PARALLEL_IMAGES = 32


class SkippingNetwork:
    """A `GatedNetwork` at inference, as TensorFlow operations on constants.

    Args:
        network: the built `GatedNetwork`; its weights are copied.
    """

    def __init__(self, network):
        self.stem = fold(network.stem.layers)
        self.blocks = [_Block(block) for block in network.blocks]
        self.head = fold(network.head.layers)
        self.num_gates = network.num_gates
        self.num_classes = network.num_classes

    def __call__(self, images, log_odds, valid):
        """Classifies images, each at its own threshold.

        Args:
            images: float32 [N, H, W, C] with static H, W, C: inputs of the network.
            log_odds: float32 [N]; a gate opens when its logit is greater.
            valid: bool [N]; where it is false nothing is computed.

        Returns:
            Probabilities float32 [N, K] and decisions bool [N, G], zeros where not valid.
        """

        def one_image(arguments):
            image, odds, is_valid = arguments
            return tf.cond(is_valid, lambda: self._classify(image, odds), self._nothing)

        return tf.map_fn(
            one_image,
            (images, log_odds, valid),
            fn_output_signature=(
                tf.TensorSpec([self.num_classes], tf.float32),
                tf.TensorSpec([self.num_gates], tf.bool),
            ),
            parallel_iterations=PARALLEL_IMAGES,
        )

    def _classify(self, image, log_odds):
        features = self.stem(image[None])
        decisions = []
        for block in self.blocks:
            features, opened = block(features, log_odds)
            if opened is not None:
                decisions.append(opened)
        probabilities = tf.nn.softmax(self.head(features))[0]
        return probabilities, tf.stack(decisions) if decisions else tf.zeros([0], tf.bool)

    def _nothing(self):
        return tf.zeros([self.num_classes]), tf.zeros([self.num_gates], tf.bool)


class _Block:
    """One block for one image: features [1, H, W, C] -> features, decision (None: no gate)."""

    def __init__(self, block):
        self.branch = fold([*block.branch.layers, block.norm])
        self.shortcut = None if block.shortcut is None else fold(block.shortcut.layers)
        self.logit = None if block.gate is None else _logit(block.gate)

    def __call__(self, features, log_odds):
        shortcut = features if self.shortcut is None else self.shortcut(features)

        def run():
            return tf.nn.relu(shortcut + self.branch(features))

        def skip():
            # What enters a block went through a ReLU: the closed identity block is the identity.
            return features if self.shortcut is None else tf.nn.relu(shortcut)

        if self.logit is None:
            return run(), None
        opened = self.logit(features) > log_odds
        return tf.cond(opened, run, skip), opened


def _logit(gate):
    """Returns the function, features [1, H, W, C] -> logit, a scalar, of a gate."""
    if isinstance(gate, IndependentGate):
        logit = float(gate.log_odds)
        return lambda features: tf.constant(logit)
    if isinstance(gate, DependentGate):
        off_on = fold(
            [
                keras.layers.GlobalAveragePooling2D(),
                gate.hidden,
                gate.norm,
                keras.layers.ReLU(),
                gate.off_on,
            ]
        )

        def logit_of(features):
            off, on = tf.unstack(off_on(features)[0])
            return on - off

        return logit_of
    raise TypeError(f"Export knows no gate of the kind {type(gate).__name__}.")
