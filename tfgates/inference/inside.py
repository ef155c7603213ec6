"""Looks inside a network: which gates open for which classes and images (4.2.2, figure 8)."""

import dataclasses

import numpy as np

from tfgates.inference.evaluate import PASSES, STOCHASTIC, passes
from tfgates.policies import Sample, Threshold

PHOTOS = 6


@dataclasses.dataclass(frozen=True)
class Photo:
    """A test image and what the network did with it at tau 0.5.

    Attributes:
        pixels: [H, W, 3], from 0 to 255.
        label, prediction: indices of classes.
        decisions: of the gates, [G].
        macs: multiply-adds.
    """

    pixels: np.ndarray
    label: int
    prediction: int
    decisions: np.ndarray
    macs: float


@dataclasses.dataclass(frozen=True)
class Inside:
    """The gates of a network on the test images, K classes.

    Attributes:
        rates: by name of the policy, threshold and stochastic, the rate of each gate, [G].
        class_rates: the same for each class, [K, G]; NaN for one without images.
        special: how far the rates of each class at the threshold lie from those of all, [K].
        images: number of each class, [K].
        errors: top-1 error of each class at the threshold, in percent, [K].
        macs: mean multiply-adds of each class at the threshold, [K].
        most, fewest: lists of `Photo`s on which most and fewest gates opened; empty where every
            image costs the same.
    """

    rates: dict[str, np.ndarray]
    class_rates: dict[str, np.ndarray]
    special: np.ndarray
    images: np.ndarray
    errors: np.ndarray
    macs: np.ndarray
    most: list[Photo]
    fewest: list[Photo]


def look_inside(network, batches, num_classes, progress=None):
    """Runs the test images through a network: once by threshold, some times by sampling.

    Args:
        network: network with learned gates.
        batches, progress: as of `tfgates.inference.evaluate.evaluate`; the images, raw pixels, are
            read a second time for the photographs.
        num_classes: K.

    Returns:
        `Inside`.
    """
    policies = {"threshold 0.5": [Threshold()], STOCHASTIC: [Sample()] * PASSES}
    seen = map(_of_batch, passes(network, batches, policies, progress))
    fixed, sampled, predictions, macs, labels = map(np.concatenate, zip(*seen, strict=True))
    decisions = {"threshold 0.5": fixed, STOCHASTIC: sampled}
    wrong = 100.0 * (predictions != labels)
    chosen = extremes(fixed, macs, PHOTOS)
    pixels = _pixels(batches, {index for side in chosen for index in side})
    most, fewest = (
        [
            Photo(
                pixels[index],
                int(labels[index]),
                int(predictions[index]),
                fixed[index],
                float(macs[index]),
            )
            for index in side
        ]
        for side in chosen
    )
    rates = {name: values.mean(axis=0) for name, values in decisions.items()}
    class_rates = {
        name: class_means(values, labels, num_classes) for name, values in decisions.items()
    }
    own = next(iter(rates))
    return Inside(
        rates=rates,
        class_rates=class_rates,
        special=specialization(class_rates[own], rates[own]),
        images=np.bincount(labels, minlength=num_classes),
        errors=class_means(wrong, labels, num_classes),
        macs=class_means(macs, labels, num_classes),
        most=most,
        fewest=fewest,
    )


def _of_batch(answers):
    """What is kept of a batch: decisions, their means, predictions, multiply-adds, labels."""
    (fixed,), samples = answers.values()
    sampled = np.mean([one.decisions for one in samples], axis=0)
    return fixed.decisions, sampled, fixed.scores.argmax(axis=1), fixed.macs, fixed.labels


def _pixels(batches, indices):
    """Reads some images of batches; those that fill up the last batch come after all others."""
    if not indices:
        return {}
    images = batches.unbatch().take(max(indices) + 1).enumerate()
    return {int(index): image.numpy() for index, (image, _, _) in images if int(index) in indices}


def class_means(values, labels, num_classes):
    """Averages over the images of each class.

    Args:
        values: of each image, [N] or [N, G].
        labels: class of each image, [N], in [0, K).
        num_classes: K.

    Returns:
        float64 [K] or [K, G]; NaN for a class without images.
    """
    values = np.asarray(values, "float64")
    sums = np.zeros((num_classes, *values.shape[1:]))
    np.add.at(sums, labels, values)
    counts = np.bincount(labels, minlength=num_classes).astype("float64")
    with np.errstate(invalid="ignore"):
        return sums / counts.reshape(-1, *[1] * (values.ndim - 1))


def specialization(rates, overall):
    """Measures how far the rates of each class lie from those of all images.

    Args:
        rates: [K, G], in [0, 1].
        overall: [G].

    Returns:
        Mean absolute difference over the gates, [K]; NaN for a class without images.
    """
    return np.abs(rates - np.asarray(overall)).mean(axis=1)


def extremes(decisions, macs, count):
    """Finds the images on which most and fewest gates opened.

    Of images with as many gates the multiply-adds decide, and of those that are still alike some
    are taken that lie evenly over the split.

    Args:
        decisions: [N, G].
        macs: multiply-adds of each image, [N].
        count: of images on each side; fewer where there are fewer.

    Returns:
        Indices of the images with most and with fewest, from the most extreme one inwards; none
        where all images cost the same.
    """
    opened = np.asarray(decisions).sum(axis=1)
    if np.ptp(opened) == np.ptp(macs) == 0:
        return [], []
    count = min(count, len(opened) // 2)
    return _first(-opened, -np.asarray(macs), count), _first(opened, macs, count)


def _first(opened, macs, count):
    _, groups = np.unique(np.stack([opened, macs], axis=1), axis=0, return_inverse=True)
    groups = groups.ravel()
    found: list[int] = []
    for group in range(groups.max() + 1):
        alike = np.flatnonzero(groups == group)
        places = np.linspace(0, len(alike) - 1, min(count - len(found), len(alike)))
        found += alike[places.round().astype(int)].tolist()
        if len(found) == count:
            break
    return found
