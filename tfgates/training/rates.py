"""Rates: the mean decision of each gate, over a global batch and over an epoch."""

import keras
import tensorflow as tf
from keras import ops

from tfgates.losses import reached


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
    """Mean decision of each gate over the images so far, of one inside of another over those that
    reach it.

    Args:
        parents: for each of the G gates the index of the one around it, or None, see
            `tfgates.network.parents`.
        gate_weights: [G], of which the greater count for more in a second mean; or None.

    Returns, from `result`: a dict of "rate", the mean over all gates, or 1 where there are none;
    and "weighted_rate", the same with the weights, where there are any.
    """

    def __init__(self, parents, gate_weights=None, **kwargs):
        super().__init__(**kwargs)
        self.parents = list(parents)
        self.gate_weights = gate_weights
        self.total = self.add_variable((len(self.parents),), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, decisions, sample_weight=None):
        decisions = ops.cast(decisions, self.dtype)
        if sample_weight is None:
            sample_weight = ops.ones((ops.shape(decisions)[0],))
        weights = ops.cast(sample_weight, self.dtype)
        self.total.assign_add(ops.sum(decisions * weights[:, None], axis=0))
        self.count.assign_add(ops.sum(weights))

    def result(self):
        rates = self.rates()
        result = {"rate": ops.mean(rates) if self.parents else ops.ones(())}
        if self.gate_weights is not None:
            weights = ops.convert_to_tensor(self.gate_weights, rates.dtype)
            result["weighted_rate"] = ops.sum(rates * weights) / ops.sum(weights)
        return result

    def rates(self, total=None, count=None):
        """Returns the rate of each gate, [G], of all images so far or of others of this metric."""
        total = self.total.value if total is None else total
        count = self.count.value if count is None else count
        return reached(ops.divide_no_nan(total, count), self.parents)

    def get_config(self):
        return {**super().get_config(), "parents": self.parents, "gate_weights": self.gate_weights}
