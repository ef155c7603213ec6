"""Logistic noise: seeded, saved with the model, different on every replica."""

import random

import keras
import numpy as np
import tensorflow as tf

# Uniform draws stay this far from 0 and 1, so the noise lies within +-16.6 and is always finite.
MARGIN = 2.0**-24


@keras.saving.register_keras_serializable(package="tfgates")
class LogisticNoise(keras.layers.Layer):
    """Draws Logistic(0, 1) noise, the difference of two Gumbel draws.

    The state, a seed and the number of draws so far, is a weight: it is saved and restored with the
    model, so that a restored model draws what the interrupted one would have drawn. The index of
    the replica is folded into the key: replicas share the state but not the noise.

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
            dtype="int64",
            initializer=self._initial_state,
            trainable=False,
            aggregation="only_first_replica",
        )
        self.built = True

    def _initial_state(self, shape, dtype):
        return np.array([self.seed, 0], dtype)

    def call(self, logits):
        key = tf.random.experimental.stateless_fold_in(
            tf.convert_to_tensor(self.state.value), replica_index()
        )
        self.state.assign_add(np.array([0, 1], "int64"))
        uniform = tf.random.stateless_uniform(
            tf.shape(logits), key, minval=MARGIN, maxval=1.0 - MARGIN, alg="philox"
        )
        return tf.math.log(uniform) - tf.math.log1p(-uniform)

    def compute_output_spec(self, logits):
        return keras.KerasTensor(logits.shape, dtype="float32")

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


def replica_index():
    """Returns the index of the current replica; 0 outside of one, as while a model is built."""
    replica = tf.distribute.get_replica_context()
    return tf.cast(replica.replica_id_in_sync_group if replica else 0, tf.int64)
