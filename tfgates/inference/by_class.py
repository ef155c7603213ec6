"""What the gates do for the images of each class (section 4.2.2, figure 8)."""

import numpy as np


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
