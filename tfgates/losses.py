"""Losses: how far the rates of the gates are from their target, and the answers from the labels.

Target losses are pure functions of `rates` [G], the mean decision of each gate over the global
batch, each in [0, 1]; of `target`, the wanted share of executed blocks, a scalar or one number per
gate [G]; and of the penalty of an excess, rate - target.
"""

import keras
from keras import ops


def quadratic(excess):
    """excess^2: too many blocks cost as much as too few (sections 2.1, 3.1)."""
    return ops.square(excess)


def constant_quadratic(excess):
    """0 up to the target, then excess^2: running fewer blocks is free (section S2.2)."""
    return ops.square(ops.relu(excess))


def reversed_quadratic(excess):
    """excess^2 up to the target, then 0: running more blocks is free, as of exits (section 5)."""
    return ops.square(ops.relu(-excess))


PENALTIES = {
    "quadratic": quadratic,
    "constant_quadratic": constant_quadratic,
    "reversed_quadratic": reversed_quadratic,
}


def reached(rates, parents):
    """Takes the rates of gates inside of others over the images that reach them.

    A decision inside is multiplied by the outer one, and its rate with it; what is drawn to a
    target is what the gate itself decides. The outer one is taken as given: else layers below their
    target would have it let fewer images in, and the fewer come, the more so.

    Args:
        rates: [G], the mean of each decision over all images.
        parents: for each gate the index of the one around it, or None, see
            `tfgates.network.parents`.

    Returns:
        Rates [G], in [0, 1]; 0 where no image comes.
    """
    if all(parent is None for parent in parents):
        return rates
    outer = [len(parents) if parent is None else parent for parent in parents]
    every = ops.ones((1,), rates.dtype)
    arriving = ops.take(ops.concatenate([ops.stop_gradient(rates), every]), outer)
    return ops.divide_no_nan(rates, arriving)


def per_gate(rates, target, penalty=quadratic):
    """L_G = mean over gates of penalty(rate - t), ConvNet-AIG's loss (section 2.1).

    Args:
        rates: [G], in [0, 1].
        target: scalar or [G], in [0, 1].
        penalty: function of the excess of each gate, see `PENALTIES`.

    Returns:
        Scalar; 0 when every gate is open at the target rate.
    """
    return ops.mean(penalty(rates - target))


def per_batch(rates, target, penalty=quadratic, weights=None):
    """L_B = penalty(mean over gates and images of z - t), the paper's loss (section 3.1).

    Args:
        rates: [G], in [0, 1].
        target: scalar or [G], in [0, 1].
        penalty: function of the excess, see `PENALTIES`.
        weights: [G], not negative, the weight of each gate in the mean. With the multiply-adds of
            the branches the target is a share of compute, not of blocks. None weighs all alike.

    Returns:
        Scalar; 0 when the batch as a whole runs the target share of its blocks.
    """
    excess = ops.convert_to_tensor(rates - target)
    if weights is None:
        return penalty(ops.mean(excess))
    return penalty(ops.average(excess, weights=ops.convert_to_tensor(weights, excess.dtype)))


TARGET_LOSSES = {"per_batch": per_batch, "per_gate": per_gate}


def weight_penalty(weights):
    """Sum of w^2 / 2: its gradient w is the weight decay of SGD as the paper trains it.

    Args:
        weights: list of float variables of any shape.

    Returns:
        Scalar. Keras's own `weight_decay` is decoupled from the momentum, about ten times weaker
        at momentum 0.9.
    """
    return sum(ops.sum(ops.square(weight)) for weight in weights) / 2


@keras.saving.register_keras_serializable(package="tfgates")
class SmoothedCrossentropy(keras.losses.Loss):
    """(1 - s) CE + s mean over the classes of -log p: labels of which a share is spread evenly.

    Label smoothing of Szegedy et al. (2016, section 7), of class numbers, [B], and logits [B, K];
    Keras's own takes shares of the classes alone.

    Args:
        smoothing: the share of each label that all classes divide between them, in [0, 1).
    """

    def __init__(self, smoothing=0.1, name="smoothed_crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.smoothing = smoothing

    def call(self, y_true, y_pred):
        log_p = ops.log_softmax(y_pred)
        labels = ops.one_hot(ops.cast(y_true, "int32"), ops.shape(y_pred)[-1], dtype=log_p.dtype)
        own = ops.sum(ops.reshape(labels, ops.shape(log_p)) * log_p, axis=-1)
        return -(1 - self.smoothing) * own - self.smoothing * ops.mean(log_p, axis=-1)

    def get_config(self):
        return {**super().get_config(), "smoothing": self.smoothing}


def logits_distillation(teacher, student, temperature):
    """T^2 KL(softmax(teacher / T) || softmax(student / T)), of each image (Hinton et al., 2015, 2).

    The factor keeps its gradient as large as that of the cross-entropy at any temperature.

    Args:
        teacher, student: logits [B, K].
        temperature: above 0 (T); the greater, the more the less probable classes count.

    Returns:
        [B], none negative; 0 where the student answers as the teacher does.
    """
    teacher, student = (ops.log_softmax(logits / temperature) for logits in (teacher, student))
    return temperature**2 * ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)
