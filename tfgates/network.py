"""The chain: stem -> gated blocks -> head."""

import keras
from keras import ops

from tfgates.gates import FixedGate
from tfgates.policies import Expected, Sample, Threshold


@keras.saving.register_keras_serializable(package="tfgates")
class GatedNetwork(keras.Model):
    """A residual network as a chain of blocks, each of which may have a gate.

    Args:
        stem: `keras.Sequential`, images -> features, not negative.
        blocks: list of `GatedBlock`.
        head: `keras.Sequential`, features -> class logits [B, K].

    Call arguments:
        images: [B, H, W, C].
        policy: what opens the gates; by default `Sample()` in training, else `inference_policy`.
        training: whether batch norm uses the statistics of the batch.

    Returns, when called: class logits [B, K] and decisions [B, G], one column for each block that
    has a gate, in the order of the chain.
    """

    def __init__(self, stem, blocks, head, **kwargs):
        super().__init__(**kwargs)
        self.stem = stem
        self.blocks = list(blocks)
        self.head = head

    @property
    def num_gates(self):
        return sum(block.gate is not None for block in self.blocks)

    @property
    def has_learned_gates(self):
        """Whether there are gates, and other ones than those of stochastic depth."""
        gates = [block.gate for block in self.blocks if block.gate is not None]
        return any(not isinstance(gate, FixedGate) for gate in gates)

    @property
    def inference_policy(self):
        """`Threshold(0.5)`; for stochastic depth, whose gates learn nothing, `Expected()`."""
        return Expected() if self.num_gates and not self.has_learned_gates else Threshold()

    @property
    def num_classes(self):
        return self.head.output_shape[-1]

    def build(self, input_shape):
        shape = tuple(input_shape)
        if not self.stem.built:
            self.stem.build(shape)
        shape = self.stem.compute_output_shape(shape)
        for block in self.blocks:
            if not block.built:
                block.build(shape)
            shape = block.compute_output_shape(shape)
        if not self.head.built:
            self.head.build(shape)

    def call(self, images, policy=None, training=False):
        if policy is None:
            policy = Sample() if training else self.inference_policy
        features = self.stem(images, training=training)
        decisions = []
        for block in self.blocks:
            features, opened = block(features, policy=policy, training=training)
            if opened is not None:
                decisions.append(opened)
        logits = self.head(features, training=training)
        if not decisions:
            return logits, ops.zeros((ops.shape(images)[0], 0), logits.dtype)
        return logits, ops.stack(decisions, axis=-1)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "stem": serialize(self.stem),
            "blocks": [serialize(block) for block in self.blocks],
            "head": serialize(self.head),
        }

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        config["stem"] = deserialize(config["stem"])
        config["blocks"] = [deserialize(block) for block in config["blocks"]]
        config["head"] = deserialize(config["head"])
        return cls(**config)
