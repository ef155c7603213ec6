"""Gates: the log-odds that a block is open, from the features that enter it (section 4.1.1).

A gate is a Keras layer, features [B, ...] -> logits [B]. It computes in float32 under mixed
precision (float64 under a float64 policy): in half precision its noise and its odds overflow.
"""

import math

import keras
from keras import ops


def _gate_dtype(dtype):
    policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
    return "float64" if policy.compute_dtype == "float64" else "float32"


@keras.saving.register_keras_serializable(package="tfgates")
class DependentGate(keras.layers.Layer):
    """The data-dependent gate of ConvNet-AIG (Veit and Belongie, 2018), as the paper uses it.

    Global average pool -> dense (`units`) -> batch norm -> ReLU -> dense (off, on). The softmax
    over (off, on) is the sigmoid of their difference, which is the logit that is returned.

    Args:
        units: width of the hidden layer, at least 1.
        odds: initial (off, on) biases; the default opens a new gate with sigmoid(1.9) = 0.87.
        synchronized: batch norm over all replicas instead of over each one's share.

    Call arguments:
        inputs: [B, H, W, C], the features that enter the block.
        training: batch norm uses the statistics of the batch.

    Returns, when called: logits [B].
    """

    def __init__(self, units=16, odds=(0.1, 2.0), synchronized=False, dtype=None, **kwargs):
        super().__init__(dtype=_gate_dtype(dtype), **kwargs)
        if units < 1:
            raise ValueError(f"`units` is at least 1. Received: units={units}.")
        self.units = units
        self.odds = tuple(odds)
        self.synchronized = synchronized
        self.hidden = keras.layers.Dense(
            units,
            kernel_initializer=keras.initializers.VarianceScaling(
                2.0, mode="fan_out", distribution="untruncated_normal"
            ),
            name="hidden",
            dtype=self.dtype_policy,
        )
        self.norm = keras.layers.BatchNormalization(
            momentum=0.9,
            epsilon=1e-5,
            synchronized=synchronized,
            name="norm",
            dtype=self.dtype_policy,
        )
        self.off_on = keras.layers.Dense(
            2,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),
            bias_initializer=keras.initializers.Constant(list(self.odds)),
            name="off_on",
            dtype=self.dtype_policy,
        )

    def build(self, input_shape):
        hidden_shape = (input_shape[0], self.units)
        for layer, shape in (
            (self.hidden, (input_shape[0], input_shape[-1])),
            (self.norm, hidden_shape),
            (self.off_on, hidden_shape),
        ):
            if not layer.built:
                layer.build(shape)

    def call(self, inputs, training=False):
        hidden = self.norm(self.hidden(_average(inputs)), training=training)
        # The difference of the two outputs of `off_on`, without a matrix product for two columns.
        weights = self.off_on.kernel[:, 1] - self.off_on.kernel[:, 0]
        bias = self.off_on.bias[1] - self.off_on.bias[0]
        return ops.sum(ops.relu(hidden) * weights, axis=-1) + bias

    def compute_output_shape(self, input_shape):
        return (input_shape[0],)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "odds": self.odds,
            "synchronized": self.synchronized,
        }


def _average(features):
    # The gradient of `ops.mean` divides every pixel, this one each channel.
    return ops.sum(features, axis=(1, 2)) / (features.shape[1] * features.shape[2])


@keras.saving.register_keras_serializable(package="tfgates")
class IndependentGate(keras.layers.Layer):
    """One learned log-odds, the same for every image (section 3.1.1).

    Args:
        odds: its initial value; the default opens a new gate with sigmoid(3.9) = 0.98.

    Call arguments:
        inputs: [B, ...]; only B is used.

    Returns, when called: logits [B].
    """

    def __init__(self, odds=3.9, dtype=None, **kwargs):
        super().__init__(dtype=_gate_dtype(dtype), **kwargs)
        self.odds = odds

    def build(self, input_shape):
        self.log_odds = self.add_weight(
            name="log_odds", shape=(), initializer=keras.initializers.Constant(self.odds)
        )

    def call(self, inputs, training=False):
        return ops.broadcast_to(self.log_odds, (ops.shape(inputs)[0],))

    def compute_output_shape(self, input_shape):
        return (input_shape[0],)

    def get_config(self):
        return {**super().get_config(), "odds": self.odds}


@keras.saving.register_keras_serializable(package="tfgates")
class FixedGate(keras.layers.Layer):
    """Stochastic depth: a probability that is not learned (section 2.1, Huang et al., 2016).

    Args:
        probability: of being open, in (0, 1).

    Call arguments:
        inputs: [B, ...]; only B is used.

    Returns, when called: logits [B].

    Raises:
        ValueError: a probability outside of (0, 1).
    """

    def __init__(self, probability, dtype=None, **kwargs):
        super().__init__(dtype=_gate_dtype(dtype), **kwargs)
        if not 0 < probability < 1:
            raise ValueError(f"`probability` is in (0, 1). Received: {probability}.")
        self.probability = float(probability)

    def call(self, inputs, training=False):
        odds = math.log(self.probability) - math.log1p(-self.probability)
        return ops.full((ops.shape(inputs)[0],), odds, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0],)

    def get_config(self):
        return {**super().get_config(), "probability": self.probability}


def linear_decay(count, last):
    """p_l = 1 - l / L (1 - p_L) for l = 1 ... L, the probabilities of stochastic depth (2.1).

    Args:
        count: number of blocks L.
        last: probability of the last block (p_L), in (0, 1).

    Returns:
        List of L probabilities.
    """
    return [1 - (index + 1) / count * (1 - last) for index in range(count)]


GATES = {"dependent": DependentGate, "independent": IndependentGate}
