"""Student's t of a mean over few observations, and Holm's correction of many tests (1979)."""

import math
import statistics

import numpy as np
from scipy import stats

LEVEL = 0.05


def two_sided(t, freedom):
    """Returns the probability of a Student's t as far from 0 as this one."""
    return float(2 * stats.t.sf(abs(t), freedom))


def probability(values):
    """Returns the two-sided probability of a mean as far from 0 as that of some observations.

    It is 1 for a single observation, and where all of them are 0; 0 for others without spread.
    """
    if len(values) < 2 or not any(values):
        return 1.0
    error = statistics.stdev(values) / math.sqrt(len(values))
    return two_sided(statistics.mean(values) / error, len(values) - 1) if error else 0.0


def holm(probabilities):
    """Corrects probabilities of k tests: k, k - 1, ..., 1 times the ordered ones."""
    order, found, highest = np.argsort(probabilities), np.ones(len(probabilities)), 0.0
    for place, index in enumerate(order):
        highest = max(highest, (len(order) - place) * probabilities[index])
        found[index] = min(1.0, highest)
    return found.tolist()
