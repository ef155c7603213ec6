"""The most specialised classes, in words and as a table."""

import numpy as np

from tfgates.report.page import Table

NAMED, ROWS = 3, 60


def most_special(inside, labels):
    """Names the classes whose rates lie furthest from those of all images, and the dearest ones.

    Args:
        inside: `tfgates.runs.inside.Inside`.
        labels: names of the classes.

    Returns:
        List of sentences.
    """
    policy, rates = next(iter(inside.class_rates.items()))
    overall = inside.rates[policy]
    far = inside.special
    seen = [int(one) for one in np.argsort(-far, kind="stable") if inside.images[one]]
    if far[seen[0]] < 0.005:
        return ["No class is special: every class has the rates of all images."]
    named = "; ".join(
        f"{labels[one]} (its rates differ from those of all images by {far[one]:.3f} on average, "
        f"most at {_furthest(rates[one], overall)})"
        for one in seen[:NAMED]
    )
    dear, cheap = (max(seen, key=lambda one: sign * inside.macs[one]) for sign in (1, -1))
    return [
        f"Most specialised, by {policy}: {named}.",
        f"Most multiply-adds: {labels[dear]}, {inside.macs[dear] / 1e6:,.2f} million per "
        f"image. Fewest: {labels[cheap]}, {inside.macs[cheap] / 1e6:,.2f} million.",
    ]


def class_table(inside, labels):
    """Lays out the classes from the most to the least specialised one; see `most_special`."""
    policy, rates = next(iter(inside.class_rates.items()))
    overall = inside.rates[policy]
    far = inside.special
    order = [int(one) for one in np.argsort(-far, kind="stable") if inside.images[one]]
    rows = [
        [
            labels[one],
            _furthest(rates[one], overall),
            f"{far[one]:.3f}",
            f"{inside.macs[one] / 1e6:,.2f}",
            f"{inside.errors[one]:.2f}",
            f"{inside.images[one]:,}",
        ]
        for one in order[:ROWS]
    ]
    some = f"the {ROWS} most specialised of {len(order)}" if len(order) > ROWS else "all"
    return Table(
        f"The classes in numbers, {some}; {policy}, test images",
        ["class", "furthest gate", "mean distance", "M multiply-adds", "top-1 error %", "images"],
        {"": rows},
        texts=2,
        folded=True,
    )


def _furthest(rates, overall):
    gate = int(np.argmax(np.abs(rates - overall)))
    return f"gate {gate:02d}: {rates[gate]:.2f} against {overall[gate]:.2f}"
