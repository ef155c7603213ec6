"""What the rates are drawn to: targets and their schedules, as the training step needs them."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfgates.network import columns, num_gates
from tfgates.targets import AUTO


class Targets:
    """The targets of a `GatedClassifier` on the gates of its network.

    What schedules change stands in variables. They are not saved: each epoch sets them anew. The
    multipliers of targets whose weight is "auto" are layers, which the classifier saves. Make it
    under the strategy of the model.

    Args:
        targets: list of `tfgates.targets.Target`; a gate may be in several of them, whose losses
            add up, or in none: the labels alone then train it.
        network: functional model; without gates nothing is drawn anywhere.

    Attributes:
        noise_scale: variable [G], the factor of the noise of each gate; None where that is 1
            throughout.
        temperature: variable, that of the relaxed sample, the lowest that a schedule asks for; None
            where it is 1 throughout.
        weights: NumPy [G] of the weights of all gates, 0 of those that have none; None without any.

    Raises:
        ValueError: a target of no gate of the network.
    """

    def __init__(self, targets, network):
        found, total = columns(network), num_gates(network)
        self._followed = [Followed(target, found, total) for target in targets]
        # TensorFlow crashes where it sends other workers no number.
        self._followed = [one for one in self._followed if one.columns]
        self.weights = None
        for one in self._followed:
            if one.target.weights is not None:
                self.weights = np.zeros(total) if self.weights is None else self.weights
                self.weights[one.columns] = one.target.weights
        self.noise_scale: Any = None
        self.temperature: Any = None
        if any(one.target.schedule.sample_epochs for one in self._followed):
            self.noise_scale = _variable(np.ones(total))
        if any(one.target.schedule.temperatures != (1, 1) for one in self._followed):
            self.temperature = _variable(1.0)
        self.begin_epoch(0)

    @property
    def multipliers(self):
        """List of `Multiplier`, of the targets whose weight is "auto"."""
        return [one.multiplier for one in self._followed if one.multiplier is not None]

    @property
    def final(self):
        """The mean target of the run in the end, with the weights of the gates; 1 without any."""
        if not self._followed:
            return 1.0
        finals = [np.average(one.rates, weights=one.target.weights) for one in self._followed]
        return float(self._mean(finals))

    def begin_epoch(self, epoch):
        """Sets targets, losses, noise and temperature to those of an epoch, counted from 0."""
        for one in self._followed:
            one.begin_epoch(epoch)
        if self.noise_scale is not None:
            scale = np.ones(self.noise_scale.shape)
            for one in self._followed:
                of_epoch = one.target.schedule.noise_scale(epoch)
                scale[one.columns] = np.minimum(scale[one.columns], of_epoch)
            self.noise_scale.assign(scale)
        if self.temperature is not None:
            self.temperature.assign(
                min(one.target.schedule.temperature(epoch) for one in self._followed)
            )

    def loss(self, rates):
        """Returns the loss of the rates of a global batch, [G], a scalar."""
        return sum(one.loss(rates) for one in self._followed)

    def mean(self):
        """Returns the mean target of the batch, a scalar tensor."""
        if not self._followed:
            return ops.ones(())
        return self._mean([one.mean() for one in self._followed])

    def observe(self, rates):
        """Takes the rates of a global batch, [G], after its loss."""
        for one in self._followed:
            one.observe(rates)

    def _mean(self, of_targets):
        """The mean over targets, each of which counts by its number of gates."""
        total = sum(len(one.columns) for one in self._followed)
        return sum(
            len(one.columns) / total * value
            for one, value in zip(self._followed, of_targets, strict=True)
        )


class Followed:
    """One target, with the gates that it is of and what its schedule has made of it.

    Args:
        target: `tfgates.targets.Target`.
        columns: slices by name of a gate, see `tfgates.network.columns`.
        num_gates: number of all decisions of the network, G.

    Attributes:
        columns: indices of its decisions.
        rates: NumPy, the rate of each of them in the end.
    """

    def __init__(self, target, columns, num_gates):
        self.target = target
        self.columns = target.columns(columns)
        self.rates = np.broadcast_to(target.rate, (len(self.columns),))
        self._all = len(self.columns) == num_gates
        self.multiplier = None
        if self.columns:
            if target.weight == AUTO:
                size = len(self.columns) if target.scope == "per_gate" else 1
                self.multiplier = Multiplier(size)
            self._history = _variable(target.schedule.target.start(0, self.rates))
            self._share = _variable(1.0)

    def begin_epoch(self, epoch):
        schedule = self.target.schedule
        self._history.assign(schedule.target.start(epoch, self.rates))
        self._share.assign(schedule.per_batch_share(epoch))

    def loss(self, rates):
        if not self.target.weight:
            return 0.0
        multiplier = None if self.multiplier is None else self.multiplier.value
        return self.target.loss(self._own(rates), self._current(), self._share, multiplier)

    def mean(self):
        if self.target.weights is None:
            return ops.mean(self._current())
        weights = ops.convert_to_tensor(self.target.weights, self._history.dtype)
        return ops.average(self._current(), weights=weights)

    def observe(self, rates):
        rates = tf.cast(tf.stop_gradient(self._own(rates)), self._history.dtype)
        if self.multiplier is not None:
            excess = self.target.excess(rates, self._current())
            self.multiplier.value.assign(self.target.follow(self.multiplier.value, excess))
        history = self._history.read_value()
        self._history.assign(self.target.schedule.target.update(history, rates))

    def _own(self, rates):
        return rates if self._all else tf.gather(rates, self.columns)

    def _current(self):
        return tf.reduce_mean(self._history, axis=0)


class Multiplier(keras.layers.Layer):
    """The multiplier of a target whose weight is "auto": a weight, saved with the model.

    Args:
        size: 1 of a batch as a whole, or the number of gates.
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.value = self.add_weight(
            name="value",
            shape=(size,),
            initializer="zeros",
            trainable=False,
            # Every replica sees the same rates.
            aggregation="only_first_replica",
        )
        self.built = True


def _variable(value):
    return tf.Variable(
        value,
        trainable=False,
        dtype=keras.config.floatx(),
        # Every replica sees the same rates.
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
