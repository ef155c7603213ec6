"""A residual block behind a gate: x -> ReLU(shortcut(x) + z * F(x)), z (section 2.1)."""

import keras
from keras import ops

from tfgates.noise import LogisticNoise


@keras.saving.register_keras_serializable(package="tfgates")
class GatedBlock(keras.layers.Layer):
    """Runs a residual branch where its gate is open.

    Args:
        branch: `keras.Sequential`, the residual function F up to its last normalization; None
            leaves the projection alone, x -> ReLU(shortcut(x)), of a block that was pruned.
        norm: `GatedNormalization`, the last step of F, which multiplies it by the decision; None
            without a branch.
        shortcut: `keras.Sequential` that projects the input; None is the identity. It always runs.
        gate: layer, features -> logits [B]; None leaves the branch always open.
        seed: seed of the noise that `Sample` draws; None takes one from Python's generator.

    Call arguments:
        inputs: [B, H, W, C], not negative, so that a closed identity block is the identity.
        policy: what turns the logits into decisions, see `tfgates.policies`.
        training: whether batch norm uses the statistics of the batch.

    Returns, when called: features [B, H', W', C'], and decisions [B] or None without a gate. The
    branch is computed for every image and multiplied by its decision, which the gradient needs;
    exported models skip it instead.

    Raises:
        ValueError: without a branch there is a norm, a gate, or no shortcut.
    """

    def __init__(self, branch, norm, shortcut=None, gate=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        if branch is None and (norm is not None or gate is not None or shortcut is None):
            raise ValueError(
                "A block without `branch` has a `shortcut`, and neither `norm` nor `gate`. "
                f"Received: shortcut={shortcut}, norm={norm}, gate={gate}."
            )
        self.branch = branch
        self.norm = norm
        self.shortcut = shortcut
        self.gate = gate
        self.noise = None if gate is None else LogisticNoise(seed)

    def build(self, input_shape):
        for part in (self.branch, self.shortcut, self.gate):
            if part is not None and not part.built:
                part.build(input_shape)
        if self.norm is not None and not self.norm.built:
            self.norm.build(self.branch.compute_output_shape(input_shape))

    def call(self, inputs, policy, training=False):
        shortcut = inputs
        if self.shortcut is not None:
            shortcut = self.shortcut(inputs, training=training)
        if self.branch is None:
            return ops.relu(shortcut), None
        decisions = None
        if self.gate is not None:
            decisions = policy(self.gate(inputs, training=training), self.noise)
        branch = self.branch(inputs, training=training)
        branch = self.norm(branch, decisions=decisions, training=training)
        return ops.relu(shortcut + branch), decisions

    def compute_output_shape(self, input_shape):
        """Returns the shape of the features."""
        return (self.branch or self.shortcut).compute_output_shape(input_shape)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "branch": serialize(self.branch),
            "norm": serialize(self.norm),
            "shortcut": serialize(self.shortcut),
            "gate": serialize(self.gate),
            "seed": self.noise.seed if self.noise else None,
        }

    @classmethod
    def from_config(cls, config):
        for part in ("branch", "norm", "shortcut", "gate"):
            config[part] = keras.saving.deserialize_keras_object(config[part])
        return cls(**config)
