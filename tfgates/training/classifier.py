"""A gated network with its loss: cross-entropy + weight * target loss (sections 2.1, 3.1)."""

import keras
import tensorflow as tf
from keras import ops

from tfgates.graph.nesting import is_nested
from tfgates.losses import reached
from tfgates.network import (
    columns,
    logits_and_decisions,
    parents,
    require_functional,
    take_policy,
)
from tfgates.noise import LogisticNoise
from tfgates.policies import Sample
from tfgates.schedules import Schedule
from tfgates.targets import Target
from tfgates.training.exits import ExitTraining
from tfgates.training.rates import GateRates, global_rates
from tfgates.training.targets import Targets
from tfgates.training.teacher import Teacher, taught_by_full_path
from tfgates.training.updates import Updates
from tfgates.training.workers import FitOverWorkers


@keras.saving.register_keras_serializable(package="tfgates")
class GatedClassifier(FitOverWorkers):
    """Trains a network towards target rates under any synchronous strategy.

    Compile it with a loss on class logits, as `SparseCategoricalCrossentropy(from_logits=True)`,
    and fit it like any Keras model. "Batch" means the global batch: the rates are averaged over
    all replicas before a target sees them.

    Args:
        network: functional model, images -> logits, or a `Network` or what is built around one; a
            model without gates is trained as it is, one of `tfgates.graph.nesting` on both paths.
        targets: list of `Target`; None makes one over all gates, of the five arguments that follow
            and `schedule`.
        target_loss: "per_batch" or "per_gate", the `scope` of the one target.
        target_rate: its `rate`.
        target_weight: its `weight` (lambda), or "auto".
        target_penalty: its `penalty`.
        gate_weights: its `weights`, [G].
        weight_decay, decayed, decay_gates, gate_learning_rate_factor: see `Updates`.
        teacher: functional model, images -> logits, whose answers are learned beside the labels, or
            "self"; with teacher_weight and teacher_temperature, see `Teacher`. Not saved.
        exit_weight: of the cross-entropies of the exits, where there are some: see `ExitTraining`.
        schedule: its `schedule`, which `EpochSchedule` follows. Not saved, as train_policy.
        train_policy: policy of the gates in training; None samples them, of noise that is drawn
            for all gates at once.
        seed: of that noise; None takes one from Python's generator.

    Call arguments:
        images: [B, H, W, C].
        policy: what opens the gates, see `Gated`.

    Returns, when called: class logits [B, K].

    Raises:
        ValueError: an argument out of its range, or a network that is not functional.
    """

    def __init__(
        self,
        network,
        targets=None,
        *,
        target_loss="per_batch",
        target_rate=0.5,
        target_weight=1.0,
        target_penalty="quadratic",
        gate_weights=None,
        weight_decay=0.0,
        decayed="all",
        decay_gates=True,
        gate_learning_rate_factor=1.0,
        teacher=None,
        teacher_weight=0.5,
        teacher_temperature=4.0,
        exit_weight=1.0,
        schedule=None,
        train_policy=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                "GatedClassifier trains on TensorFlow. Received: KERAS_BACKEND="
                f"{keras.backend.backend()}. There `Target.loss` goes into a step of one's own."
            )
        one = Target(
            target_rate,
            target_loss,
            target_penalty,
            weights=gate_weights,
            weight=target_weight,
            schedule=schedule or Schedule(),
        )
        if targets is not None and one != Target():
            raise ValueError(
                "`targets` says of each target what target_rate and the like say of a single one. "
                f"Received: both, {one}. Leave one of them out."
            )
        require_functional(network)
        self.network = take_policy(network)
        # The steps call the network, never this model, so that Keras would not notice.
        self.built = True
        self.nested = is_nested(network)
        self.targets = [one] if targets is None else list(targets)
        self.target = Targets(self.targets, network)
        # Keras saves them with the model.
        self.multipliers = self.target.multipliers
        self.updates = Updates(
            network, weight_decay, decayed, decay_gates, gate_learning_rate_factor
        )
        self.teacher = teacher and Teacher(teacher, network, teacher_weight, teacher_temperature)
        self.exits = ExitTraining(network, exit_weight)
        self.train_policy = train_policy
        self.noise = LogisticNoise(seed, name="noise")
        self._columns, self._parents = columns(network), parents(network)
        weights = self.target.weights
        self.gate_rates = GateRates(
            self._parents, None if weights is None else weights.tolist(), name="gate_rates"
        )

    def call(self, images, policy=None, training=False):
        outputs = self.network(images, policy=policy, training=training)
        return logits_and_decisions(outputs)[0]

    def policy_of_step(self, images):
        """Returns the policy of a training step; it draws the noise of all gates at once."""
        if self.train_policy is not None or not self._columns:
            return self.train_policy
        count = ops.shape(tf.nest.flatten(images)[0])[0]
        draws = self.noise(ops.zeros((count, len(self._parents))))
        if self.target.noise_scale is not None:
            draws = draws * ops.cast(self.target.noise_scale, draws.dtype)
        return Sample(
            temperature=1.0 if self.target.temperature is None else self.target.temperature,
            draws={name: draws[:, part] for name, part in self._columns.items()},
        )

    def train_step(self, data):
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        replicas = self.distribute_strategy.num_replicas_in_sync
        answers = self.teacher(images) if self.teacher else None
        with tf.GradientTape() as tape:
            policy = self.policy_of_step(images)
            outputs = self.exits.network(images, policy=policy, training=True)
            logits, decisions = logits_and_decisions(outputs)
            loss = self.compute_loss(images, labels, logits, weights)
            loss = self.exits.loss(
                loss, outputs, lambda one: self.compute_loss(images, labels, one, weights)
            )
            if self.teacher:
                loss = self.teacher.loss(loss, answers, logits, weights, replicas)
            if self.nested:
                loss = taught_by_full_path(loss, outputs, weights, replicas)
            rates = self._rates(decisions, weights)
            target_loss = self.target.loss(rates)
            # Keras sums gradients over replicas and has scaled its own loss for that.
            total = loss + (target_loss + self.updates.penalty(self.trainable_variables)) / replicas
            scaled = self.optimizer.scale_loss(total)
        variables = self.trainable_variables
        gradients = self.updates.gradients(tape.gradient(scaled, variables), variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        logs = self._track(images, labels, weights, logits, decisions, loss, target_loss)
        target_rate = self.target.mean()
        self.target.observe(rates)
        return {**logs, "target_rate": target_rate}

    def test_step(self, data):
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        logits, decisions = logits_and_decisions(self.network(images, training=False))
        loss = self.compute_loss(images, labels, logits, weights, training=False)
        target_loss = self.target.loss(self._rates(decisions, weights))
        return self._track(images, labels, weights, logits, decisions, loss, target_loss)

    def _rates(self, decisions, weights):
        # Without gates there is nothing to exchange.
        if not self._columns:
            return decisions[0]
        return reached(global_rates(decisions, weights), self._parents)

    def _track(self, images, labels, weights, logits, decisions, loss, target_loss):
        size = ops.cast(ops.shape(logits)[0], loss.dtype)
        count = size if weights is None else ops.cast(ops.sum(weights), loss.dtype)
        # `loss` is the replica's sum over its images / images / replicas; fillers weigh nothing.
        replicas = self.distribute_strategy.num_replicas_in_sync
        loss = ops.divide_no_nan(loss * replicas * size, count)
        self._loss_tracker.update_state(loss + target_loss, sample_weight=count)
        self.gate_rates.update_state(decisions, sample_weight=weights)
        return self.compute_metrics(images, labels, logits, weights)

    def export(self, *args, **options):
        """Exports images -> class logits as any Keras model; every branch is computed.

        `tfgates.export_model` exports one that skips closed branches.
        """
        images = keras.tree.map_structure(
            lambda tensor: keras.InputSpec(shape=tensor.shape, dtype=tensor.dtype),
            self.network.input,
        )
        super().export(*args, **{"input_signature": [images], **options})

    def get_config(self):
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "targets": [keras.saving.serialize_keras_object(one) for one in self.targets],
            **self.updates.get_config(),
            "exit_weight": self.exits.weight,
            "seed": self.noise.seed,
        }

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        config["network"] = deserialize(config["network"])
        config["targets"] = [deserialize(one) for one in config["targets"]]
        return cls(**config)
