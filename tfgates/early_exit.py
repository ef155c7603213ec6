"""Early exits: the gate that lets an image leave, and what its target means (sections 5, S2.4).

An exit is a gate around the rest of a network, whose other arm is a classifier: z = 1 goes on,
z = 0 leaves. Of the images that arrive at exit e, counted from 1 at the front,

    rate of exit e = 1 - rate of its gate = share of those images that leave there.

The rate of every gate is taken over the images that reach it, see `tfgates.losses.reached`: targets
of .6 and .6 send 60 % of all images out at the first exit, 24 % at the second, 16 % to the end.
"""

import math

import keras
import numpy as np
from keras import ops

from tfgates.gates import full_precision
from tfgates.norms import scale_and_shift
from tfgates.targets import Target

# The penalty of leaving, as one of going on: more of the one is less of the other.
OF_GOING_ON = {
    "quadratic": "quadratic",
    "constant_quadratic": "reversed_quadratic",
    "reversed_quadratic": "constant_quadratic",
}
POOL = 4


def exit_target(rate=0.3, penalty="reversed_quadratic", gates="exit_*", **options):
    """Returns the `Target` of exits, said in images that leave.

    Args:
        rate: of the images that arrive at an exit the share that leaves there, in [0, 1); or one
            for each exit.
        penalty: of what the rate of an exit exceeds its target by, see `tfgates.losses`: with
            "reversed_quadratic" more may leave (section 5).
        gates: names of the exits, or patterns of them.
        **options: weight, schedule: of `Target`, whose scope is each exit.

    Raises:
        ValueError: an argument out of its range; 1 would leave no image to what is behind.
    """
    rates = np.asarray(rate, "float64")
    if not ((rates >= 0) & (rates < 1)).all():
        raise ValueError(
            "`rate` is the share of the arriving images that leave at an exit, in [0, 1). "
            f"Received: rate={rate}. Of 1 no image would be left to what is behind it."
        )
    if penalty not in OF_GOING_ON:
        raise ValueError(f"`penalty` is one of {', '.join(OF_GOING_ON)}. Received: {penalty!r}.")
    return Target(1 - rates, "per_gate", OF_GOING_ON[penalty], gates, **options)


@keras.saving.register_keras_serializable(package="tfgates")
class ExitGate(keras.layers.Layer):
    """The gate of the paper's exits (S2.4): whether an image goes on.

    Conv 3x3 -> batch norm -> conv 3x3 -> batch norm -> average pool 4x4 -> dense (off, on), with
    nothing between that is not linear. At inference it is thus an affine function of the features,
    and exported networks compute it as one product: see `affine`.

    Args:
        units: width of both convolutions, at least 1; the paper takes 128.
        odds: initial (off, on) biases; by default sigmoid(0.9) = 0.71 of the images go on.
        synchronized: batch norm over all replicas instead of over each one's share.

    Call arguments:
        inputs: [B, H, W, C], of one size, features that arrive at the exit.
        training: batch norm uses the statistics of the batch.

    Returns, when called: logits [B] of going on.

    Raises:
        ValueError: less than one unit; features of no fixed size.
    """

    groups, learned, data_dependent = 1, True, True

    def __init__(self, units=128, odds=(0.1, 1.0), synchronized=False, dtype=None, **kwargs):
        super().__init__(dtype=full_precision(dtype), **kwargs)
        if units < 1:
            raise ValueError(f"`units` is at least 1. Received: units={units}.")
        self.units, self.odds, self.synchronized = units, tuple(odds), synchronized
        self.convolutions = [self._convolution(name) for name in ("conv_1", "conv_2")]
        self.norms = [self._norm(name) for name in ("norm_1", "norm_2")]
        self.off_on = keras.layers.Dense(
            2,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),
            bias_initializer=keras.initializers.Constant(list(self.odds)),
            name="off_on",
            dtype=self.dtype_policy,
        )

    def _convolution(self, name):
        initializer = keras.initializers.VarianceScaling(
            2.0, mode="fan_out", distribution="untruncated_normal"
        )
        return keras.layers.Conv2D(
            self.units,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer=initializer,
            name=name,
            dtype=self.dtype_policy,
        )

    def _norm(self, name):
        return keras.layers.BatchNormalization(
            momentum=0.9,
            epsilon=1e-5,
            synchronized=self.synchronized,
            name=name,
            dtype=self.dtype_policy,
        )

    def build(self, input_shape):
        if len(input_shape) != 4 or None in input_shape[1:]:
            raise ValueError(
                "An exit gate reads features [B, H, W, C] of one size. Received: features "
                f"{tuple(input_shape)}. Build the network of images of a fixed size."
            )
        self.features = tuple(input_shape[1:])
        height, width, _ = self.features
        # Of maps of less than 4 pixels the pool is over all of them.
        self.pool = min(POOL, height), min(POOL, width)
        self.pooled = height // self.pool[0], width // self.pool[1]
        inner = (None, height, width, self.units)
        for layer, shape in zip(
            (*self.convolutions, *self.norms, self.off_on),
            (input_shape, inner, inner, inner, (None, math.prod(self.pooled) * self.units)),
            strict=True,
        ):
            if not layer.built:
                layer.build(shape)

    def call(self, inputs, training=False):
        x = ops.cast(inputs, self.compute_dtype)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = norm(convolution(x), training=training)
        x = ops.average_pool(x, self.pool, self.pool, "valid")
        x = ops.reshape(x, (-1, math.prod(x.shape[1:])))
        # The difference of (off, on), two weights that are trained each.
        weights = self.off_on.kernel[:, 1:] - self.off_on.kernel[:, :1]
        return ops.matmul(x, weights)[:, 0] + self.off_on.bias[1] - self.off_on.bias[0]

    def multiply_adds(self, input_shape):
        """Multiply-adds of one image at inference: one for each number of the features."""
        return math.prod(input_shape[1:])

    def affine(self):
        """Returns the gate at inference as one product: logits = features @ matrix + bias.

        The dense layer is led back through the pool and the convolutions, each by its transpose.

        Returns:
            NumPy arrays [H * W * C, 1] and [1].
        """
        height, width, _ = self.features
        kernel = ops.convert_to_numpy(self.off_on.kernel)
        x = (kernel[:, 1] - kernel[:, 0]).reshape(*self.pooled, self.units)
        for axis, size in enumerate(self.pool):
            x = np.repeat(x, size, axis=axis) / size
        # Pixels beyond the last whole pool count for nothing.
        beyond = (height - x.shape[0], width - x.shape[1])
        x = np.pad(x, [(0, beyond[0]), (0, beyond[1]), (0, 0)])[None]
        for convolution, norm in zip(self.convolutions[::-1], self.norms[::-1], strict=True):
            scale, _ = scale_and_shift(norm)
            turned = ops.convert_to_numpy(convolution.kernel)[::-1, ::-1].transpose(0, 1, 3, 2)
            x = ops.convert_to_numpy(ops.conv(x * scale, turned, padding="same"))
        bias = ops.convert_to_numpy(self(np.zeros((1, *self.features), "float32")))
        return x.reshape(-1, 1), bias

    def compute_output_shape(self, input_shape):
        return (input_shape[0],)

    def get_config(self):
        own = {"units": self.units, "odds": self.odds, "synchronized": self.synchronized}
        return {**super().get_config(), **own}
