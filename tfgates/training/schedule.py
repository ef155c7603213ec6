"""The learning rate over the steps: linear warm-up, then steps down (section 4.1.1)."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfgates")
class StepDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Divides the learning rate by ten at each boundary, after a linear warm-up.

    Args:
        learning_rate: after the warm-up, above 0.
        boundaries: increasing steps from which on the rate is ten times lower.
        warmup_steps: step k of them, counted from 1, has k / warmup_steps of the rate; 0: none
            (Goyal et al., 2017, section 2.2).

    Returns, when called with the number of steps so far: the learning rate of the next one.
    """

    def __init__(self, learning_rate, boundaries=(), warmup_steps=0):
        self.learning_rate = learning_rate
        self.boundaries = tuple(boundaries)
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        rates = [self.learning_rate * 0.1**decays for decays in range(len(self.boundaries) + 1)]
        passed = [ops.cast(step >= boundary, "int32") for boundary in self.boundaries]
        rate = ops.take(ops.convert_to_tensor(rates, "float32"), sum(passed, start=0))
        if not self.warmup_steps:
            return rate
        return rate * ops.minimum(1.0, (ops.cast(step, "float32") + 1) / self.warmup_steps)

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "boundaries": self.boundaries,
            "warmup_steps": self.warmup_steps,
        }
