"""Gates: the log-odds that a branch runs, from the features that enter it (section 4.1.1).

A gate is a Keras layer or model, features [B, ..., C] -> logits [B], or [B, groups] of several
groups of filters. What it knows of itself stands in attributes, all of which a gate of one's own
may leave out:

* `groups`: number of its decisions on an image; 1.
* `learned`: whether training moves it; True.
* `data_dependent`: whether it looks at the features; True.
* `multiply_adds`: of one image; by default they are counted from its layers.
* `dense_layers()`: of a gate that reads the average of the features over the pixels, its matrices
  at inference; exported models then share that average.
* `affine()`: of a gate that at inference is an affine function of the features, its matrix and
  bias; exported models then compute that one product.
* `shift(odds)`: adds a number to its log-odds for good, as `--calibrate` asks for.

The gates here compute in float32 under mixed precision (float64 under a float64 policy): in half
precision noise and odds overflow.
"""

import math

import keras
import numpy as np
from keras import ops

from tfgates.norms import scale_and_shift


def full_precision(dtype=None):
    """Returns float32, or float64 where a dtype, or else the global one, is that."""
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
        groups: number of decisions, one for each group of filters; 1 for the whole branch.

    Call arguments:
        inputs: [B, ..., C], the features that enter the branch; all axes between are averaged.
        training: batch norm uses the statistics of the batch.

    Returns, when called: logits [B], or [B, groups] of several groups.

    Raises:
        ValueError: less than one unit or group.
    """

    learned, data_dependent = True, True

    def __init__(
        self, units=16, odds=(0.1, 2.0), synchronized=False, groups=1, dtype=None, **kwargs
    ):
        super().__init__(dtype=full_precision(dtype), **kwargs)
        if units < 1 or groups < 1:
            raise ValueError(
                f"`units` and `groups` are at least 1. Received: units={units}, groups={groups}."
            )
        self.units = units
        self.groups = groups
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
            2 * groups,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),
            bias_initializer=keras.initializers.Constant(list(self.odds) * groups),
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
        hidden = ops.relu(self.norm(self.hidden(_average(inputs)), training=training))
        # The differences of the outputs of `off_on`, (off, on) of each group.
        weights = self.off_on.kernel[:, 1::2] - self.off_on.kernel[:, 0::2]
        bias = self.off_on.bias[1::2] - self.off_on.bias[0::2]
        if self.groups == 1:
            # Without a matrix product for one column.
            return ops.sum(hidden * weights[:, 0], axis=-1) + bias[0]
        return ops.matmul(hidden, weights) + bias

    @property
    def multiply_adds(self):
        """Multiply-adds of one image, once the gate is built."""
        return math.prod(self.hidden.kernel.shape) + math.prod(self.off_on.kernel.shape)

    def shift(self, odds):
        """Adds a number to the log-odds of every decision, for good."""
        self.off_on.bias.assign(self.off_on.bias + np.tile([0.0, odds], self.groups))

    def dense_layers(self):
        """Returns kernel and bias of both dense layers at inference, with the batch norm in them.

        The logits are ReLU(average @ kernel_1 + bias_1) @ kernel_2 + bias_2; NumPy arrays, the
        second of one column for each group.
        """
        kernel, bias, pair, odds = map(
            ops.convert_to_numpy,
            (self.hidden.kernel, self.hidden.bias, self.off_on.kernel, self.off_on.bias),
        )
        scale, shift = scale_and_shift(self.norm)
        hidden = kernel * scale, bias * scale + shift
        return hidden, (pair[:, 1::2] - pair[:, 0::2], odds[1::2] - odds[0::2])

    def compute_output_shape(self, input_shape):
        return _logits_shape(input_shape, self.groups)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "odds": self.odds,
            "synchronized": self.synchronized,
            "groups": self.groups,
        }


def _logits_shape(input_shape, groups):
    return (input_shape[0],) if groups == 1 else (input_shape[0], groups)


def _average(features):
    """[B, ..., C] -> [B, C]."""
    axes, sizes = tuple(range(1, len(features.shape) - 1)), features.shape[1:-1]
    if None in sizes:
        return ops.mean(features, axis=axes)
    # The gradient of `ops.mean` divides every pixel, this one each channel.
    return ops.sum(features, axis=axes) / math.prod(sizes) if axes else features


@keras.saving.register_keras_serializable(package="tfgates")
class IndependentGate(keras.layers.Layer):
    """Learned log-odds, the same for every image (section 3.1.1).

    Two logits (off, on) are trained, of which the log-odds are the difference: each moves by the
    gradient, so that they learn twice as fast as a single number would.

    Args:
        odds: initial (off, on) logits; the default opens a new gate with sigmoid(3.9) = 0.98.
        groups: number of decisions, one for each group of filters; 1 for the whole branch.

    Call arguments:
        inputs: [B, ...]; only B is used.

    Returns, when called: logits [B], or [B, groups] of several groups.

    Raises:
        ValueError: less than one group.
    """

    learned, data_dependent, multiply_adds = True, False, 0

    def __init__(self, odds=(0.1, 4.0), groups=1, dtype=None, **kwargs):
        super().__init__(dtype=full_precision(dtype), **kwargs)
        if groups < 1:
            raise ValueError(f"`groups` is at least 1. Received: {groups}.")
        self.odds = tuple(odds)
        self.groups = groups

    def build(self, input_shape):
        self.off_on = self.add_weight(
            name="off_on",
            shape=(self.groups, 2),
            initializer=lambda shape, dtype: np.tile(np.array(self.odds, dtype), (self.groups, 1)),
        )

    def call(self, inputs, training=False):
        log_odds = self.off_on[:, 1] - self.off_on[:, 0]
        shape = _logits_shape((ops.shape(inputs)[0],), self.groups)
        return ops.broadcast_to(log_odds[0] if self.groups == 1 else log_odds, shape)

    def shift(self, odds):
        """Adds a number to the log-odds of every decision, for good."""
        self.off_on.assign(self.off_on + np.array([0.0, odds]))

    def compute_output_shape(self, input_shape):
        return _logits_shape(input_shape, self.groups)

    def get_config(self):
        return {**super().get_config(), "odds": self.odds, "groups": self.groups}


GATES = {"dependent": DependentGate, "independent": IndependentGate}


def kind_of(gate):
    """Returns the name of the kind of a gate, a key of `GATES`; of another, that of its class."""
    return next((name for name, kind in GATES.items() if type(gate) is kind), type(gate).__name__)
