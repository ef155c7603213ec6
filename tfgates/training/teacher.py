"""A teacher: a network whose answers are learned beside the labels (Hinton et al., 2015)."""

from keras import ops

from tfgates.graph.nesting import SHORT
from tfgates.losses import logits_distillation
from tfgates.network import logits_and_decisions, num_classes, num_gates, require_functional
from tfgates.policies import AlwaysOpen

# The network itself, with every gate open.
SELF = "self"


class Teacher:
    """(1 - w) CE + w T^2 KL(teacher_T || student_T), over the images of a batch.

    It is no part of the model that it teaches: it is neither trained nor saved with it. Under a
    strategy, make or load its model there.

    Args:
        model: functional model, the student's images -> logits [B, K]; of one with gates those
            decide as at inference. Or "self": the answers of the student with every gate open.
        student: `Network` that learns.
        weight: of the teacher beside the labels, in (0, 1] (w).
        temperature: above 0 (T).

    Raises:
        ValueError: another number of classes, "self" without gates, a number out of its range.
    """

    def __init__(self, model, student, weight=0.5, temperature=4.0):
        if not 0 < weight <= 1:
            raise ValueError(f"`teacher_weight` is in (0, 1]. Received: {weight}.")
        if not temperature > 0:
            raise ValueError(f"`teacher_temperature` is above 0. Received: {temperature}.")
        if model == SELF and not num_gates(student):
            raise ValueError(
                "A network without gates has nothing to learn of itself. Received: teacher='self'. "
                "Pass another model."
            )
        if model != SELF:
            require_functional(model)
            if num_classes(model) != num_classes(student):
                raise ValueError(
                    "`teacher` knows the classes of its student. Received: a teacher of "
                    f"{num_classes(model)} and a student of {num_classes(student)}."
                )
        self._model = student if model == SELF else model
        self._policy = {"policy": AlwaysOpen()} if model == SELF else {}
        self.weight, self.temperature = weight, temperature

    def __call__(self, images):
        """Returns the logits of the teacher. Call it outside of a gradient tape."""
        outputs = self._model(images, training=False, **self._policy)
        return logits_and_decisions(outputs)[0]

    def loss(self, crossentropy, answers, logits, weights, replicas):
        """Returns the loss of labels and teacher, see `taught`."""
        return taught(
            crossentropy, answers, logits, weights, replicas, self.weight, self.temperature
        )


def taught(crossentropy, answers, logits, weights, replicas, weight, temperature):
    """(1 - w) CE + w T^2 KL(teacher_T || student_T), of the images on this replica.

    Args:
        crossentropy: loss of the labels on this replica, divided by the replicas.
        answers: logits of the teacher, [B, K].
        logits: of the student, [B, K].
        weights: of the images, [B]; None weighs all alike.
        replicas: their number.
        weight: of the teacher (w).
        temperature: of both (T).
    """
    dtype = crossentropy.dtype
    answers, logits = ops.cast(answers, dtype), ops.cast(logits, dtype)
    of_images = logits_distillation(answers, logits, temperature)
    if weights is not None:
        of_images = of_images * ops.cast(weights, dtype)
    return (1 - weight) * crossentropy + weight * ops.mean(of_images) / replicas


def taught_by_full_path(loss, outputs, weights, replicas):
    """The loss of a nested network: its short path learns what the full one answers, at T = 1."""
    answers = ops.stop_gradient(outputs["logits"])
    return taught(loss, answers, outputs[SHORT], weights, replicas, 0.5, 1.0)
