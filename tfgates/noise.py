"""Logistic noise: seeded, saved with the model, different on every replica."""

import random

import keras
import numpy as np
from keras import ops

# Uniform draws stay this far from 0 and 1, so the noise lies within +-16.6 and is always finite.
MARGIN = 2.0**-24
# Replicas share the state and not the noise: their seeds lie this far apart.
STRIDE = 0x9E3779B9


@keras.saving.register_keras_serializable(package="tfgates")
class LogisticNoise(keras.layers.Layer):
    """Draws Logistic(0, 1) noise, the difference of two Gumbel draws.

    The state, a seed and the number of draws so far, is a weight: it is saved and restored with the
    model, so that a restored model draws what the interrupted one would have drawn.

    Args:
        seed: integer in [0, 2**31); None draws one from Python's generator, which
            `keras.utils.set_random_seed` seeds.

    Returns, when called on logits: float32 noise of the shape of the logits.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = random.randrange(2**31) if seed is None else int(seed)
        self.state = self.add_weight(
            name="state",
            shape=(2,),
            # TensorFlow keeps no other integers on a GPU; JAX takes its keys in this form.
            dtype="int64" if _on_tensorflow() else "uint32",
            initializer=self._initial_state,
            trainable=False,
            aggregation="only_first_replica",
        )
        self.built = True

    def _initial_state(self, shape, dtype):
        return np.array([self.seed, 0], dtype)

    def call(self, logits):
        uniform = keras.random.uniform(
            ops.shape(logits), MARGIN, 1.0 - MARGIN, dtype="float32", seed=_Key(self._key())
        )
        self.state.assign(self.state + self._integers(0, 1))
        return ops.log(uniform) - ops.log1p(-uniform)

    def _key(self):
        return self.state + self._integers(replica_index() * STRIDE, 0)

    def _integers(self, *values):
        return ops.stack([ops.cast(value, self.state.dtype) for value in values])

    def reset(self):
        """Starts anew, as if nothing had been drawn."""
        self.state.assign(np.array([self.seed, 0], self.state.dtype))

    def compute_output_spec(self, logits):
        return keras.KerasTensor(logits.shape, dtype="float32")

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


class _Key(keras.random.SeedGenerator):
    """A key that is drawn already, in the form that `keras.random` takes."""

    def __init__(self, key):
        self._drawn = key

    def next(self, ordered=True):
        return self._drawn


def replica_index():
    """Returns the index of the current replica; 0 outside of one, as while a model is built."""
    if not _on_tensorflow():
        return 0
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    return tf.cast(replica.replica_id_in_sync_group if replica else 0, "int64")


def _on_tensorflow():
    return keras.backend.backend() == "tensorflow"
