"""The one new layer: y = z * then(x) + (1 - z) * otherwise(x), z of a gate (sections 2.1, S2)."""

from typing import Any

import keras
from keras import ops

from tfgates.gates import full_precision
from tfgates.graph.macs import multiply_adds, of_gate
from tfgates.graph.masks import masks_through
from tfgates.graph.nodes import hand_down, listed, mask_of, masked, nodes, producer
from tfgates.graph.outputs import features_and_decisions
from tfgates.noise import LogisticNoise
from tfgates.norms import as_mask, gated_norm
from tfgates.policies import Expected, Sample, Threshold, WithExits


@keras.saving.register_keras_serializable(package="tfgates")
class Gated(keras.layers.Layer):
    """Runs one model where its gate is open; another one, or nothing, where it is closed.

    In training both are computed and weighted by the decision, which the gradient needs; exported
    models skip the one that is not wanted. A decision scales the batch norm that ends `then`, where
    there is one, which costs no pass over the features.

    Args:
        then: functional model, inputs -> features; or [features, decisions] where there are gates
            inside.
        gate: layer or model, features -> logits [B], or [B, groups], see `tfgates.gates`. Several
            groups each decide on as many neighbouring channels of `then` (section S2.3).
        otherwise: functional model, the same inputs -> features; None gives zeros.
        keep_one: of several groups, open the one with the greatest logit where all are closed:
            for channels that no shortcut leads around.
        seed: of the noise that `Sample` draws; None takes one from Python's generator.

    Call arguments:
        inputs: a tensor, or a list of tensors, of which the gate reads the first.
        policy: what turns logits into decisions, see `tfgates.policies`. Keras hands it down, as it
            does `training`. None samples in training; else it is `Threshold(0.5)`, or `Expected()`
            of a gate that is not learned.
        training: whether batch norm uses the statistics of the batch.

    Returns, when called: features, and decisions [B, D]: its own, then those inside `then`, which
    are 0 where it is closed itself. A loss of those does not move the gate around them.

    Raises:
        ValueError: `otherwise` or gates inside of `then` together with several groups; groups that
            do not divide the filters; `keep_one` with one group.
    """

    def __init__(self, then, gate, otherwise=None, keep_one=False, seed=None, **kwargs):
        # Decisions and batch norm stay in float32; the parts cast for themselves.
        super().__init__(autocast=False, **kwargs)
        self.then, self.gate, self.otherwise, self.keep_one = then, gate, otherwise, keep_one
        if otherwise is not None and self.groups > 1:
            raise ValueError(
                "`otherwise` runs where one gate is closed. Received: a gate of "
                f"{self.groups} groups. Leave one of them out."
            )
        if self.groups > 1 and features_and_decisions(then)[1] is not None:
            raise ValueError(
                f"One gate closes the gates inside of `then`. Received: a gate of {self.groups} "
                "groups around gates. Pass one with groups=1."
            )
        channels = features_and_decisions(then)[0].shape[-1]
        if self.groups > 1 and channels % self.groups:
            raise ValueError(
                f"`groups` divides the filters, {channels} of {self.name}. Received: "
                f"groups={self.groups}."
            )
        if keep_one and self.groups == 1:
            raise ValueError("`keep_one` of 1 group could never close. Pass a gate with `groups`.")
        self.noise = LogisticNoise(seed, name="noise")
        # A gate makes logits of images: there is no mask to lose.
        self.supports_masking = gate.supports_masking = True
        hand_down(self, "policy")
        self._split = _split_at_norm(then) if otherwise is None else None

    @property
    def groups(self):
        """The number of its own decisions on an image."""
        return getattr(self.gate, "groups", 1)

    @property
    def num_decisions(self):
        """The number of all its decisions on an image, those inside included."""
        inside = features_and_decisions(self.then)[1]
        return self.groups + (0 if inside is None else inside.shape[-1])

    @property
    def usual_policy(self):
        """What it decides by at inference, where nobody asks for anything else."""
        return Threshold() if getattr(self.gate, "learned", True) else Expected()

    def multiply_adds(self, input_shape):
        """Multiply-adds of one image with every gate open, the gates included."""
        first = input_shape[0] if isinstance(input_shape[0], (list, tuple)) else input_shape
        return of_gate(self.gate, first) + sum(map(multiply_adds, nodes(self.then)))

    def build(self, input_shape):
        several = isinstance(input_shape[0], (list, tuple))
        if not self.gate.built:
            self.gate.build(input_shape[0] if several else input_shape)

    def decide(self, logits, policy):
        """Applies a policy to logits [B] or [B, groups]; returns decisions [B, groups]."""
        if isinstance(policy, WithExits):
            policy = policy.of(self.name)
        draws: Any = getattr(policy, "draws", None)

        def given(logits):
            return ops.reshape(draws[self.name], ops.shape(logits))

        decisions = policy(logits, self.noise if draws is None else given)
        decisions = ops.reshape(decisions, (-1, self.groups))
        if not self.keep_one:
            return decisions
        # 1 where all groups are closed; of probabilities, the chance of that.
        lacking = ops.stop_gradient(ops.prod(1 - decisions, axis=-1, keepdims=True))
        best = ops.one_hot(ops.argmax(logits, axis=-1), self.groups, dtype=decisions.dtype)
        return decisions + lacking * best

    def opened(self, inputs, policy=None, training=False):
        """Returns its own decisions [B, groups]; see `call`."""
        if policy is None:
            policy = Sample() if training else self.usual_policy
        return self.decide(self.gate(listed(inputs)[0], training=training), policy)

    def call(self, inputs, policy=None, training=False):
        z = self.opened(inputs, policy, training)
        # By `call`, because Keras warns that a model called as a layer loses masks, and is wrong.
        if self._split is not None:
            until, norm = self._split()
            ran, *inside = listed(until.call(inputs, training=training))
            features = gated_norm(norm, ran, z, training)
        else:
            ran, *inside = listed(self.then.call(inputs, training=training))
            mask = ops.cast(as_mask(z, ran.shape), ran.dtype)
            features = ran * mask
            if self.otherwise is not None:
                other = ops.cast(self.otherwise.call(inputs, training=training), ran.dtype)
                features = features + other * (1 - mask)
        # What is asked of a gate inside is not the fault of the one around it.
        decisions = ops.concatenate([z, *(ops.stop_gradient(z) * d for d in inside)], axis=-1)
        return masked(features, mask_of(ran)), decisions

    def compute_mask(self, inputs, previous_mask):
        """Returns the mask that `then` makes, of symbolic inputs; `call` puts it beside others."""
        symbolic = isinstance(listed(inputs)[0], keras.KerasTensor)
        return [masks_through(self.then, listed(previous_mask))[0], None] if symbolic else None

    def compute_output_spec(self, inputs, policy=None, training=False):
        features = listed(self.then.compute_output_spec(inputs))[0]
        # Full precision, as the policies decide in.
        decisions = keras.KerasTensor((features.shape[0], self.num_decisions), self.variable_dtype)
        return keras.KerasTensor(features.shape, features.dtype), decisions

    def with_arms(self, then, otherwise=None):
        """Returns a layer of the same gate, noise and name that runs other models."""
        return Gated(
            then,
            self.gate,
            otherwise,
            self.keep_one,
            self.noise.seed,
            name=self.name,
            dtype=self.dtype_policy,
        )

    def get_config(self):
        parts = {
            name: keras.saving.serialize_keras_object(getattr(self, name))
            for name in ("then", "gate", "otherwise")
        }
        config = {**super().get_config(), **parts, "keep_one": self.keep_one}
        return {**config, "seed": self.noise.seed}

    @classmethod
    def from_config(cls, config):
        for name in ("then", "gate", "otherwise"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


@keras.saving.register_keras_serializable(package="tfgates")
class Decisions(keras.layers.Concatenate):
    """Puts decisions [B, D] side by side; in full precision, as half precision rounds them."""

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": full_precision(kwargs.get("dtype"))})


def joined(decisions, name=None):
    """Puts symbolic decisions side by side."""
    return decisions[0] if len(decisions) == 1 else Decisions(name=name)(decisions)


def _split_at_norm(then):
    """Returns a function of nothing: the model up to its last batch norm, and that norm; or None.

    A function, because Keras would track both as attributes and save their layers twice.
    """
    features, decisions = features_and_decisions(then)
    if type(producer(features).operation) is not keras.layers.BatchNormalization:
        return None
    norm, before = producer(features).operation, producer(features).input_tensors[0]
    if norm.renorm or norm.axis not in (-1, len(features.shape) - 1):
        return None
    until = keras.Model(then.input, before if decisions is None else [before, decisions])
    return lambda: (until, norm)
