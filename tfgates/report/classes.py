"""Which classes run which gates: class x gate under two policies (figure 8)."""

import matplotlib
import numpy as np

from tfgates.report.style import LIGHT, Picture, new_figure, shorten, styled

# Beyond so many the numbers in the cells, or the names of the classes, cannot be read.
CELLS, NAMES = 20, 60


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
