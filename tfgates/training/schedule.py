"""The learning rate over the steps: a linear warm-up, then down in steps or along a cosine."""

import math

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="tfgates")
class StepDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Divides the learning rate by ten at each boundary, after a linear warm-up (section 4.1.1).

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
        return rate * _warmed_up(step, self.warmup_steps)

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "boundaries": self.boundaries,
            "warmup_steps": self.warmup_steps,
        }


@keras.saving.register_keras_serializable(package="tfgates")
class CosineDecay(keras.optimizers.schedules.LearningRateSchedule):
    """r / 2 (1 + cos(pi k / K)): half a cosine from the learning rate r to 0, after a warm-up.

    It is the schedule of Loshchilov and Hutter (2017, equation 5) without restarts; k of K is the
    step behind the warm-up.

    Args:
        learning_rate: after the warm-up, above 0 (r).
        steps: of the whole training, the warm-up included; more than that.
        warmup_steps: as of `StepDecay`.

    Returns, when called with the number of steps so far: the learning rate of the next one.
    """

    def __init__(self, learning_rate, steps, warmup_steps=0):
        self.learning_rate = learning_rate
        self.steps = steps
        self.warmup_steps = warmup_steps
        if not 0 <= warmup_steps < steps:
            raise ValueError(
                f"`steps` are more than `warmup_steps`. Received: steps={steps}, "
                f"warmup_steps={warmup_steps}."
            )

    def __call__(self, step):
        done = ops.cast(step, "float32") - self.warmup_steps
        share = ops.clip(done / (self.steps - self.warmup_steps), 0.0, 1.0)
        rate = self.learning_rate / 2 * (1 + ops.cos(math.pi * share))
        return rate * _warmed_up(step, self.warmup_steps)

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "steps": self.steps,
            "warmup_steps": self.warmup_steps,
        }


def _warmed_up(step, warmup_steps):
    """Returns the share of the learning rate that a warm-up lets through."""
    if not warmup_steps:
        return 1.0
    return ops.minimum(1.0, (ops.cast(step, "float32") + 1) / warmup_steps)
