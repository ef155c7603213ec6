"""A gated network with its loss: cross-entropy + weight * target loss (sections 2.1, 3.1)."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfgates.losses import TARGET_LOSSES, weight_penalty
from tfgates.policies import Threshold
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
        weight_decay: factor of the penalty on the weights, not negative.
        decayed: "all" trainable weights, or "kernels": not those of batch norm, biases, log-odds.
        train_policy: policy of the gates in training; None samples them. Not saved: a loaded
            classifier samples.

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
        weight_decay=0.0,
        decayed="all",
        train_policy=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if target_loss not in TARGET_LOSSES:
            raise ValueError(
                f"`target_loss` is one of {', '.join(TARGET_LOSSES)}. Received: {target_loss!r}."
            )
        targets = np.asarray(target_rate, "float64")
        if (
            targets.shape not in ((), (network.num_gates,))
            or not ((targets >= 0) & (targets <= 1)).all()
        ):
            raise ValueError(
                "`target_rate` is the share of executed blocks, in [0, 1], or one for each of the "
                f"{network.num_gates} gates. Received: {target_rate}. For 40 percent pass 0.4."
            )
        if decayed not in ("all", "kernels"):
            raise ValueError(f"`decayed` is all or kernels. Received: {decayed!r}.")
        for name, value in (("target_weight", target_weight), ("weight_decay", weight_decay)):
            if not value >= 0:
                raise ValueError(f"`{name}` is not negative. Received: {value}.")
        if not network.built:
            raise ValueError("`network` is built: call network.build((None, H, W, C)) first.")
        self.network = network
        # The steps call the network, never this model, so that Keras would not notice.
        self.built = True
        self.target_loss = target_loss
        self.target_rate = targets.tolist()
        self.target_weight = target_weight
        self.weight_decay = weight_decay
        self.decayed = decayed
        self.train_policy = train_policy
        self.gate_rates = GateRates(network.num_gates, name="gate_rates")

    @property
    def mean_target(self):
        """The wanted share of executed blocks over all gates; 1 without gates."""
        return float(np.mean(self.target_rate)) if np.size(self.target_rate) else 1.0

    def call(self, images, policy=None, training=False):
        return self.network(images, policy=policy, training=training)[0]

    def train_step(self, data):
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            logits, decisions = self.network(images, policy=self.train_policy, training=True)
            loss = self.compute_loss(images, labels, logits, weights)
            target_loss = self._target_loss(decisions, weights)
            # Keras sums gradients over replicas and has scaled its own loss for that.
            replicas = self.distribute_strategy.num_replicas_in_sync
            total = loss + (target_loss + self._weight_penalty()) / replicas
            scaled = self.optimizer.scale_loss(total)
        gradients = tape.gradient(scaled, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        logs = self._track(images, labels, weights, logits, decisions, loss, target_loss)
        return {**logs, "target_rate": ops.convert_to_tensor(self.mean_target)}

    def test_step(self, data):
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        logits, decisions = self.network(images, policy=Threshold(), training=False)
        loss = self.compute_loss(images, labels, logits, weights, training=False)
        target_loss = self._target_loss(decisions, weights)
        return self._track(images, labels, weights, logits, decisions, loss, target_loss)

    def _target_loss(self, decisions, weights):
        if not self.network.num_gates:
            return 0.0
        rates = global_rates(decisions, weights)
        target = ops.convert_to_tensor(self.target_rate, rates.dtype)
        return self.target_weight * TARGET_LOSSES[self.target_loss](rates, target)

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
            "target_loss": self.target_loss,
            "target_rate": self.target_rate,
            "target_weight": self.target_weight,
            "weight_decay": self.weight_decay,
            "decayed": self.decayed,
        }

    @classmethod
    def from_config(cls, config):
        config["network"] = keras.saving.deserialize_keras_object(config["network"])
        return cls(**config)


def global_rates(decisions, weights=None):
    """Averages the decisions of each gate over the images of all replicas.

    The square of a target loss does not commute with a mean over replicas, so the mean comes first.

    Args:
        decisions: [B, G], the share of this replica.
        weights: [B]; None counts every image once.

    Returns:
        Rates [G], the same on every replica.
    """
    weights = tf.ones_like(decisions[:, 0]) if weights is None else weights
    weights = tf.cast(weights, decisions.dtype)
    total = tf.linalg.matvec(decisions, weights, transpose_a=True)
    replica = tf.distribute.get_replica_context()
    total, count = replica.all_reduce("SUM", [total, tf.reduce_sum(weights)])
    return total / count


@keras.saving.register_keras_serializable(package="tfgates")
class GateRates(keras.metrics.Metric):
    """Mean decision of each gate over the images so far.

    Args:
        num_gates: number of gates G.

    Returns, from `result`: a dict of "rate", the mean over all gates, or 1 where there are none,
    and "gate_00", "gate_01", ... of each gate.
    """

    def __init__(self, num_gates, **kwargs):
        super().__init__(**kwargs)
        self.num_gates = num_gates
        self.total = self.add_variable((num_gates,), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, decisions, sample_weight=None):
        decisions = ops.cast(decisions, self.dtype)
        if sample_weight is None:
            sample_weight = ops.ones((ops.shape(decisions)[0],))
        weights = ops.cast(sample_weight, self.dtype)
        self.total.assign_add(ops.sum(decisions * weights[:, None], axis=0))
        self.count.assign_add(ops.sum(weights))

    def result(self):
        rates = ops.divide_no_nan(self.total.value, self.count.value)
        rate = ops.mean(rates) if self.num_gates else ops.ones(())
        return {"rate": rate, **{f"gate_{g:02d}": rates[g] for g in range(self.num_gates)}}

    def get_config(self):
        return {**super().get_config(), "num_gates": self.num_gates}
