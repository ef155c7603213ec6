"""Which gates open for which classes and images: the sections of a page (figure 8)."""

import matplotlib
import numpy as np

from tfgates.report.page import Card, Cards, Missing, Table
from tfgates.report.style import LIGHT, Picture, as_png, new_figure, shorten, styled

ALIKE = "Every test image runs the same branches: none stand out."
# Of the classes, the most specialised ones: named in a sentence, and in the table.
NAMED, ROWS = 3, 60
# Beyond so many the numbers in the cells, or the names of the classes, cannot be read.
CELLS, NAMES = 20, 60


def by_class(inside, labels, why_not):
    """The heat maps, and the classes that run other gates than the rest."""
    if inside is None:
        return [Missing(why_not)]
    threshold, stochastic = inside.class_rates.items()
    words = most_special(inside, labels)
    picture = class_rates(dict([stochastic, threshold]), labels, " ".join(words))
    return [*words, picture, class_table(inside, labels)]


def most_special(inside, labels):
    """Names the classes whose rates lie furthest from those of all images, and the dearest ones.

    Args:
        inside: `tfgates.inference.inside.Inside`.
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


@styled
def class_rates(rates, labels, message):
    """Draws a heat map for each policy, a row for each class and a column for each gate.

    Args:
        rates: by name of the policy, [K, G]; a class without images is NaN.
        labels: K names of classes.
        message: what the picture says, for who cannot see it.

    Returns:
        `Picture`.
    """
    classes, gates = next(iter(rates.values())).shape
    beside = gates <= CELLS
    cell = 0.36 if beside else 0.155
    height = max(0.24 * classes, 1) if classes <= NAMES else 6
    maps = len(rates)
    size = (1.9 + maps * cell * gates, height + 1) if beside else (10, maps * (height + 0.6) + 0.5)
    figure = new_figure(max(size[0], 5), size[1])
    shape = (1, maps) if beside else (maps, 1)
    axes = figure.subplots(*shape, sharex=True, sharey=True, squeeze=False).ravel()
    shades = matplotlib.colormaps["Blues"].with_extremes(bad=LIGHT)
    for panel, (policy, values) in zip(axes, rates.items(), strict=True):
        image = panel.imshow(
            values, cmap=shades, vmin=0, vmax=1, aspect="auto", interpolation="none"
        )
        panel.set_title(policy)
        panel.set_xticks(range(gates), [f"{gate:02d}" for gate in range(gates)])
        panel.tick_params(length=0, labelrotation=0)
        if not beside:
            panel.tick_params(axis="x", labelrotation=90, labelsize=7)
        if classes <= NAMES:
            panel.set_yticks(range(classes), [shorten(label) for label in labels])
        if gates <= CELLS and classes <= CELLS:
            _write_numbers(panel, values)
    figure.supxlabel("gate", fontsize=9)
    if classes > NAMES:
        axes[0].set_ylabel("class")
    figure.colorbar(image, ax=list(axes), label="rate", aspect=30, pad=0.02, fraction=0.05)
    return Picture(
        name="class_rates",
        figure=figure,
        alternative=f"Rate of each of {gates} gates for each of {classes} classes. {message}",
        caption=(
            "Share of the test images of a class (row) for which a gate (column) is open. A column "
            "of one shade is a gate that does not look at the class; a grey row is a class without "
            "test images."
        ),
    )


def _write_numbers(panel, values):
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        if np.isfinite(value):
            text = f"{value:.2f}".removeprefix("0")
            color = "white" if value > 0.55 else "black"
            panel.text(
                column, row, text, ha="center", va="center_baseline", fontsize=7, color=color
            )


def photos(inside, labels, why_not):
    """Test images on which most and fewest gates opened."""
    if inside is None:
        return [Missing(why_not)]
    if not inside.most:
        return [Missing(ALIKE)]
    return [
        "Test images, decided by threshold 0.5. The digits are the gates from the first to the "
        "last, 1 where the branch ran. Of images that tie, those shown are spread over the split.",
        *(
            Cards(title, [_card(photo, labels) for photo in some])
            for title, some in (("Most branches", inside.most), ("Fewest branches", inside.fewest))
        ),
    ]


def _card(photo, labels):
    label, prediction = labels[photo.label], labels[photo.prediction]
    right = photo.label == photo.prediction
    verdict = "right" if right else f"wrong: {prediction}"
    opened = photo.decisions.astype(int)
    return Card(
        png=as_png(photo.pixels),
        alternative=f"Test image of the class {label}",
        lines=[
            label,
            f"{'✓' if right else '✗'} {verdict}",
            f"{opened.sum()} of {len(opened)} gates open",
            "".join(map(str, opened)),
            f"{photo.macs / 1e6:,.2f} M multiply\u2011adds",
        ],
    )
