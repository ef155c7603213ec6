"""What the rates are drawn to: target, loss and schedule, as the training step needs them."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfgates.losses import PENALTIES, TARGET_LOSSES, per_batch, per_gate


class Target:
    """The target loss of a `GatedClassifier`, whose documentation has the arguments.

    What a schedule changes stands in variables. They are not saved: each epoch sets them anew. Make
    it under the strategy of the model.

    Attributes:
        noise_scale: scalar variable, the factor of the noise of the gates.

    Raises:
        ValueError: an argument out of its range.
    """

    def __init__(
        self,
        num_gates,
        target_loss,
        target_rate,
        target_weight,
        target_penalty,
        gate_weights,
        schedule,
    ):
        for name, value, known in (
            ("target_loss", target_loss, TARGET_LOSSES),
            ("target_penalty", target_penalty, PENALTIES),
        ):
            if value not in known:
                raise ValueError(f"`{name}` is one of {', '.join(known)}. Received: {value!r}.")
        if not target_weight >= 0:
            raise ValueError(f"`target_weight` is not negative. Received: {target_weight}.")
        self._rates = _rates(target_rate, num_gates)
        self._weights = _weights(gate_weights, num_gates)
        self._per_batch = target_loss == "per_batch"
        self._penalty = PENALTIES[target_penalty]
        self._factor = target_weight
        self._schedule = schedule
        # Without gates there is none: TensorFlow crashes where it sends other workers no number.
        self._history: Any = None
        if num_gates:
            self._history = _variable(schedule.target.start(0, self._rates))
        self._per_batch_share = _variable(schedule.per_batch_share(0))
        self.noise_scale = _variable(schedule.noise_scale(0))

    @property
    def final(self):
        """The mean target of the run in the end, with the weights of the gates; 1 without gates."""
        if not self._rates.size:
            return 1.0
        return float(np.average(self._rates, weights=self._weights))

    def begin_epoch(self, epoch):
        """Sets target, loss and noise to those of an epoch, counted from 0."""
        if self._history is not None:
            self._history.assign(self._schedule.target.start(epoch, self._rates))
        self._per_batch_share.assign(self._schedule.per_batch_share(epoch))
        self.noise_scale.assign(self._schedule.noise_scale(epoch))

    def loss(self, rates):
        """Returns the target loss of the rates of a global batch, [G], a scalar."""
        if not self._rates.size or not self._factor:
            return 0.0
        target = ops.cast(self._current(), rates.dtype)
        loss = per_gate(rates, target, self._penalty)
        if self._per_batch:
            share = ops.cast(self._per_batch_share, rates.dtype)
            of_batch = per_batch(rates, target, self._penalty, self._weights)
            loss = share * of_batch + (1 - share) * loss
        return self._factor * loss

    def mean(self):
        """Returns the mean target of the batch, a scalar tensor."""
        if not self._rates.size:
            return ops.ones(())
        if self._weights is None:
            return ops.mean(self._current())
        return ops.average(self._current(), weights=ops.cast(self._weights, self._history.dtype))

    def observe(self, rates):
        """Takes the rates of a global batch, [G], after its loss."""
        if self._history is None:
            return
        rates = tf.cast(tf.stop_gradient(rates), self._history.dtype)
        self._history.assign(self._schedule.target.update(self._history.read_value(), rates))

    def _current(self):
        return tf.reduce_mean(self._history, axis=0)


def _variable(value):
    return tf.Variable(
        value,
        trainable=False,
        dtype=keras.config.floatx(),
        # Every replica sees the same rates.
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )


def _rates(target_rate, num_gates):
    rates = np.asarray(target_rate, "float64")
    if rates.shape not in ((), (num_gates,)) or not ((rates >= 0) & (rates <= 1)).all():
        raise ValueError(
            "`target_rate` is the share of executed blocks, in [0, 1], or one for each of the "
            f"{num_gates} gates. Received: {target_rate}. For 40 percent pass 0.4."
        )
    return np.broadcast_to(rates, (num_gates,))


def _weights(gate_weights, num_gates):
    if gate_weights is None:
        return None
    weights = np.asarray(gate_weights, "float64")
    if weights.shape != (num_gates,) or (weights < 0).any() or not weights.sum() > 0:
        raise ValueError(
            f"`gate_weights` has one number for each of the {num_gates} gates, none negative and "
            f"not all 0. Received: {gate_weights}."
        )
    return weights
