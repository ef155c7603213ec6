"""A gated network with its loss: cross-entropy + weight * target loss (sections 2.1, 3.1)."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfgates.losses import weight_penalty
from tfgates.policies import Sample
from tfgates.schedules import Schedule
from tfgates.training.rates import GateRates, global_rates
from tfgates.training.target import Target
from tfgates.training.workers import FitOverWorkers


@keras.saving.register_keras_serializable(package="tfgates")
class GatedClassifier(FitOverWorkers):
    """Trains a `GatedNetwork` towards a target rate under any synchronous strategy.

    Compile it with a loss on class logits, as `SparseCategoricalCrossentropy(from_logits=True)`,
    and fit it like any Keras model. "Batch" means the global batch: the rates are averaged over
    all replicas before the target loss sees them.

    Args:
        network: `GatedNetwork`, built.
        target_loss: "per_batch" or "per_gate", see `tfgates.losses`.
        target_rate: the wanted share of executed blocks, in [0, 1], or a list of one for each gate.
        target_weight: factor of the target loss (lambda), not negative.
        target_penalty: "quadratic", "constant_quadratic" or "reversed_quadratic", of what exceeds
            the target, see `tfgates.losses`.
        gate_weights: [G], the weight of each gate in the mean of the per-batch loss, as the
            multiply-adds of its branch; None weighs all alike.
        weight_decay: factor of the penalty on the weights, not negative.
        decayed: "all" trainable weights, or "kernels": not those of batch norm, biases, log-odds.
        schedule: `Schedule` of target, loss and noise over the epochs, which `EpochSchedule`
            follows; None keeps them. Not saved, as train_policy.
        train_policy: policy of the gates in training; None samples them.

    Call arguments:
        images: [B, H, W, C].
        policy: what opens the gates, see `GatedNetwork`.

    Returns, when called: class logits [B, K].

    Raises:
        ValueError: an argument out of its range.
    """

    def __init__(
        self,
        network,
        target_loss="per_batch",
        target_rate=0.5,
        target_weight=1.0,
        target_penalty="quadratic",
        gate_weights=None,
        weight_decay=0.0,
        decayed="all",
        schedule=None,
        train_policy=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if decayed not in ("all", "kernels"):
            raise ValueError(f"`decayed` is all or kernels. Received: {decayed!r}.")
        if not weight_decay >= 0:
            raise ValueError(f"`weight_decay` is not negative. Received: {weight_decay}.")
        if not network.built:
            raise ValueError("`network` is built: call network.build((None, H, W, C)) first.")
        self.network = network
        # The steps call the network, never this model, so that Keras would not notice.
        self.built = True
        self._target_arguments = {
            "target_loss": target_loss,
            "target_rate": np.asarray(target_rate, "float64").tolist(),
            "target_weight": target_weight,
            "target_penalty": target_penalty,
            "gate_weights": None if gate_weights is None else list(map(float, gate_weights)),
        }
        schedule = schedule or Schedule()
        self.target = Target(network.num_gates, schedule=schedule, **self._target_arguments)
        self.weight_decay = weight_decay
        self.decayed = decayed
        if train_policy is None and schedule.sample_epochs:
            train_policy = Sample(self.target.noise_scale)
        self.train_policy = train_policy
        self.gate_rates = GateRates(
            network.num_gates, self._target_arguments["gate_weights"], name="gate_rates"
        )

    def call(self, images, policy=None, training=False):
        return self.network(images, policy=policy, training=training)[0]

    def train_step(self, data):
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            logits, decisions = self.network(images, policy=self.train_policy, training=True)
            loss = self.compute_loss(images, labels, logits, weights)
            rates = self._rates(decisions, weights)
            target_loss = self.target.loss(rates)
            # Keras sums gradients over replicas and has scaled its own loss for that.
            replicas = self.distribute_strategy.num_replicas_in_sync
            total = loss + (target_loss + self._weight_penalty()) / replicas
            scaled = self.optimizer.scale_loss(total)
        gradients = tape.gradient(scaled, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        logs = self._track(images, labels, weights, logits, decisions, loss, target_loss)
        target_rate = self.target.mean()
        self.target.observe(rates)
        return {**logs, "target_rate": target_rate}

    def test_step(self, data):
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        logits, decisions = self.network(images, training=False)
        loss = self.compute_loss(images, labels, logits, weights, training=False)
        target_loss = self.target.loss(self._rates(decisions, weights))
        return self._track(images, labels, weights, logits, decisions, loss, target_loss)

    def _rates(self, decisions, weights):
        # Without gates there is nothing to exchange.
        return global_rates(decisions, weights) if self.network.num_gates else decisions[0]

    def _weight_penalty(self):
        if not self.weight_decay:
            return 0.0
        weights = self.trainable_variables
        if self.decayed == "kernels":
            weights = [weight for weight in weights if weight.name == "kernel"]
        return self.weight_decay * weight_penalty(weights)

    def _track(self, images, labels, weights, logits, decisions, loss, target_loss):
        size = ops.cast(ops.shape(logits)[0], loss.dtype)
        count = size if weights is None else ops.cast(ops.sum(weights), loss.dtype)
        # `loss` is the replica's sum over its images / images / replicas; fillers weigh nothing.
        replicas = self.distribute_strategy.num_replicas_in_sync
        loss = ops.divide_no_nan(loss * replicas * size, count)
        self._loss_tracker.update_state(loss + target_loss, sample_weight=count)
        self.gate_rates.update_state(decisions, sample_weight=weights)
        return self.compute_metrics(images, labels, logits, weights)

    def get_config(self):
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            **self._target_arguments,
            "weight_decay": self.weight_decay,
            "decayed": self.decayed,
        }

    @classmethod
    def from_config(cls, config):
        config["network"] = keras.saving.deserialize_keras_object(config["network"])
        return cls(**config)
