"""Looks inside a network while it classifies: which gates open for which classes and images."""

import dataclasses

import numpy as np

from tfgates.inference.by_class import class_means, extremes, specialization
from tfgates.inference.evaluate import PASSES, STOCHASTIC, passes
from tfgates.policies import Sample, Threshold
from tfgates.runs.results import evaluation_images

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


def look_inside(network, dataset, preprocessing, show=None):
    """Runs the test images through a network: once by threshold, some times by sampling.

    Args:
        network: network with learned gates.
        dataset: `ImageDataset` or `FolderDataset`, readable.
        preprocessing: `Preprocessing`.
        show: what `tfgates.base.progress.progress` yields, for batches; or None.

    Returns:
        `Inside`.
    """
    batches = evaluation_images(dataset, "test", preprocessing)
    policies = {"threshold 0.5": [Threshold()], STOCHASTIC: [Sample()] * PASSES}
    seen = map(_of_batch, passes(network, batches, policies, show))
    fixed, sampled, predictions, macs, labels = map(np.concatenate, zip(*seen, strict=True))
    decisions, classes = {"threshold 0.5": fixed, STOCHASTIC: sampled}, len(dataset.labels)
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
    class_rates = {name: class_means(values, labels, classes) for name, values in decisions.items()}
    own = next(iter(rates))
    return Inside(
        rates=rates,
        class_rates=class_rates,
        special=specialization(class_rates[own], rates[own]),
        images=np.bincount(labels, minlength=classes),
        errors=class_means(wrong, labels, classes),
        macs=class_means(macs, labels, classes),
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
