"""A residual block behind a gate: x -> ReLU(shortcut(x) + z * F(x)), z (sections 2.1, S2.3)."""

import keras
from keras import ops

from tfgates.noise import LogisticNoise


@keras.saving.register_keras_serializable(package="tfgates")
class GatedBlock(keras.layers.Layer):
    """Runs a residual branch where its gate is open.

    Args:
        branch: `keras.Sequential`, the residual function F up to the norm; None leaves the
            projection alone, x -> ReLU(shortcut(x)), of a block that was pruned.
        norm: `GatedNormalization`, the step of F that multiplies by the decision, its last one or
            one before the `tail`; None without a branch.
        shortcut: `keras.Sequential` that projects the input; None is the identity. It always runs.
        gate: layer, features -> logits [B], or [B, groups] for as many groups of the filters of
            the norm (section S2.3); None leaves the branch always open.
        tail: `keras.Sequential`, the rest of F behind the norm; None where that is its last step.
            The filters before a tail have no shortcut: where all their groups are closed, the one
            with the greatest logit is opened.
        seed: seed of the noise that `Sample` draws; None takes one from Python's generator.

    Call arguments:
        inputs: [B, H, W, C], not negative, so that a closed identity block is the identity.
        policy: what turns the logits into decisions, see `tfgates.policies`.
        training: whether batch norm uses the statistics of the batch.

    Returns, when called: features [B, H', W', C'], and decisions of the shape of the logits, or
    None without a gate. The branch is computed for every image and multiplied by its decision,
    which the gradient needs; exported models skip it instead.

    Raises:
        ValueError: without a branch there is a norm, a gate, or no shortcut; or a gate before a
            tail has one group only, which could never close.
    """

    def __init__(self, branch, norm, shortcut=None, gate=None, tail=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        if branch is None and (shortcut is None or {norm, gate, tail} != {None}):
            raise ValueError(
                "A block without `branch` has a `shortcut`, and neither `norm`, `gate` nor `tail`. "
                f"Received: shortcut={shortcut}, norm={norm}, gate={gate}, tail={tail}."
            )
        if tail is not None and gate is not None and gate.groups == 1:
            raise ValueError("A gate before a `tail` has `groups`, at least 2. Received: 1.")
        self.branch = branch
        self.norm = norm
        self.shortcut = shortcut
        self.gate = gate
        self.tail = tail
        self.noise = None if gate is None else LogisticNoise(seed)

    @property
    def num_gates(self):
        """The number of decisions on an image."""
        return 0 if self.gate is None else self.gate.groups

    @property
    def layers_of_branch(self):
        """The layers of the residual function F, in their order."""
        if self.branch is None:
            return []
        return [*self.branch.layers, self.norm, *([] if self.tail is None else self.tail.layers)]

    def without_gate(self):
        """Returns a block of the same layers whose branch is always open."""
        return self.like(self.branch, self.norm, tail=self.tail)

    def like(self, branch, norm, tail=None):
        """Returns a block without gate with its shortcut, name and precision, and this branch."""
        return GatedBlock(
            branch, norm, self.shortcut, tail=tail, name=self.name, dtype=self.dtype_policy
        )

    def build(self, input_shape):
        for part in (self.branch, self.shortcut, self.gate):
            if part is not None and not part.built:
                part.build(input_shape)
        if self.norm is not None and not self.norm.built:
            self.norm.build(self.branch.compute_output_shape(input_shape))
        if self.tail is not None and not self.tail.built:
            self.tail.build(self.branch.compute_output_shape(input_shape))

    def decide(self, logits, policy):
        """Applies a policy to the logits of the gate: decisions of the same shape."""
        decisions = policy(logits, self.noise)
        if self.tail is None:
            return decisions
        # Only where all are closed: a sampled group stays as it was drawn beside an open one.
        lacking = 1 - ops.stop_gradient(ops.max(decisions, axis=-1, keepdims=True))
        best = ops.one_hot(ops.argmax(logits, axis=-1), self.num_gates, dtype=decisions.dtype)
        return decisions + lacking * best

    def call(self, inputs, policy, training=False):
        shortcut = inputs
        if self.shortcut is not None:
            shortcut = self.shortcut(inputs, training=training)
        if self.branch is None:
            return ops.relu(shortcut), None
        decisions = None
        if self.gate is not None:
            decisions = self.decide(self.gate(inputs, training=training), policy)
        branch = self.branch(inputs, training=training)
        branch = self.norm(branch, decisions=decisions, training=training)
        if self.tail is not None:
            branch = self.tail(branch, training=training)
        return ops.relu(shortcut + branch), decisions

    def compute_output_shape(self, input_shape):
        """Returns the shape of the features."""
        if self.branch is None:
            return self.shortcut.compute_output_shape(input_shape)
        shape = self.branch.compute_output_shape(input_shape)
        return shape if self.tail is None else self.tail.compute_output_shape(shape)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "branch": serialize(self.branch),
            "norm": serialize(self.norm),
            "shortcut": serialize(self.shortcut),
            "gate": serialize(self.gate),
            "tail": serialize(self.tail),
            "seed": self.noise.seed if self.noise else None,
        }

    @classmethod
    def from_config(cls, config):
        for part in ("branch", "norm", "shortcut", "gate", "tail"):
            config[part] = keras.saving.deserialize_keras_object(config.get(part))
        return cls(**config)
