"""The teacher: its loss in a step, and that it is no part of what it teaches."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from examples import randomize, small_network, train_settings
from trained import batches, compiled

from tfgates.base.errors import UserError
from tfgates.data import datasets
from tfgates.policies import AlwaysOpen, Expected
from tfgates.runs import teacher as teacher_of_run


def softmax(logits):
    powers = np.exp(np.float64(logits) - np.max(logits, axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def by_hand(answers, logits, labels, weights, weight, temperature):
    """(1 - w) CE + w T^2 KL(teacher_T || student_T), the mean over weighted images."""
    crossentropy = -np.log(softmax(logits)[np.arange(len(labels)), labels])
    teacher, student = (softmax(one / temperature) for one in (answers, logits))
    divergence = (teacher * np.log(teacher / student)).sum(axis=1)
    of_images = (1 - weight) * crossentropy + weight * temperature**2 * divergence
    return (of_images * weights).sum() / weights.sum()


@pytest.mark.parametrize("kind", ["another", "self"])
def test_the_loss_of_a_step_is_that_of_labels_and_teacher(kind):
    network = randomize(small_network(), seed=1)
    other = randomize(small_network("independent"), seed=2)
    data = next(iter(batches(1)))
    images, labels = (part.numpy() for part in data)
    weights = np.linspace(0.5, 1.5, len(labels))
    student = network(images, policy=Expected(), training=True)["logits"].numpy()
    # What was just learned of the batch is in the moments that the teacher "self" uses.
    answers = other(images) if kind == "another" else network(images, policy=AlwaysOpen())
    expected = by_hand(answers["logits"].numpy(), student, labels, weights, 0.3, 2.0)
    classifier = compiled(
        network,
        target_weight=0,
        train_policy=Expected(),
        teacher="self" if kind == "self" else other,
        teacher_weight=0.3,
        teacher_temperature=2.0,
    )
    before = [weight.numpy() for weight in other.weights]
    logs = classifier.fit(
        tf.data.Dataset.from_tensors((images, labels, weights)), verbose=0
    ).history
    np.testing.assert_allclose(logs["loss"], [expected], rtol=1e-4)
    for weight, value in zip(other.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert len(classifier.weights) == len(compiled(small_network()).weights)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(classifier))
    assert again.teacher is None


def test_a_step_follows_the_teacher_where_the_labels_weigh_nothing():
    """The student's labels are wrong, and it comes to answer as its teacher does."""
    teacher = randomize(small_network("none"), seed=2)
    classifier = compiled(
        small_network(), 0.05, teacher=teacher, teacher_weight=1.0, target_rate=0.9
    )
    images = next(iter(batches(1, images=32)))[0]
    losses = classifier.fit(
        tf.data.Dataset.from_tensors((images, tf.zeros(32, tf.int64))).repeat(20),
        epochs=2,
        steps_per_epoch=10,
        verbose=0,
    ).history["loss"]
    assert losses[1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"teacher_weight": 0}, r"teacher_weight.*\(0, 1\].*0"),
        ({"teacher_temperature": 0}, "teacher_temperature.*above 0"),
        ({"teacher": keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])}, "of 3 and"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        compiled(small_network(), **{"teacher": "self", **arguments})
    with pytest.raises(ValueError, match="teacher='self'"):
        compiled(small_network("none"), teacher="self")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--teacher_weight=0.4"], "--teacher_weight belongs to --teacher"),
        (["--teacher=self", "--gate=none"], "every gate open. Received: --gate=none"),
    ],
)
def test_flags_of_the_teacher_are_refused_by_name(flags, message):
    with pytest.raises(UserError, match=message):
        train_settings(*flags)


def test_a_teacher_of_other_images_is_refused_by_name(whole_run, small_set, shipped):
    folder = whole_run[0].path
    own = datasets.open_dataset("my_set", str(small_set))

    def check(dataset, *flags):
        teacher_of_run.check(train_settings("--dataset=my_set", *flags), dataset)

    check(own, f"--teacher=run:{folder}")
    for dataset, flags, message in (
        (own, [f"--teacher=run:{folder}", f"--output_dir={folder}"], "another folder"),
        (own, [f"--teacher=run:{folder}", "--image_size=16"], "32 pixels"),
        (own, ["--teacher=run:nowhere"], "is not a folder"),
        (own, ["--teacher=keras:ResNet50"], "1000 classes"),
        (shipped, [f"--teacher=run:{folder}"], "knows the classes 0, 1, 2, ..."),
    ):
        with pytest.raises(UserError, match=message):
            check(dataset, *flags)
