"""The rate of each gate over training, as in the paper's figures 10 to 13."""

import math

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfgates.report.style import BLUE, GREEN, GREY, INK, ORANGE, Picture, new_figure, styled
from tfgates.report.sweep import is_collapsed

OPEN, BETWEEN, CLOSED = "nearly always open", "in between", "nearly always closed"
KIND_COLORS = {OPEN: BLUE, BETWEEN: GREEN, CLOSED: ORANGE}


def kinds(rates):
    """Tells the gates that have collapsed from the others: OPEN, BETWEEN or CLOSED of each."""
    return [(OPEN if rate > 0.5 else CLOSED) if is_collapsed(rate) else BETWEEN for rate in rates]


def in_words(rates):
    """Says how many gates have collapsed, and which."""
    found = kinds(rates)
    parts = []
    for kind in (OPEN, CLOSED, BETWEEN):
        gates = [f"{gate:02d}" for gate, one in enumerate(found) if one == kind]
        if gates:
            parts.append(f"{len(gates)} of {len(found)} {kind} ({listed(gates)})")
    return ", ".join(parts)


def target_of_rates(flags, target_rate):
    """Returns the target rate where the mean of the rates was trained towards it, else None.

    It was not where the target is one of the multiply-adds, or follows the rates.

    Args:
        flags: of the training, texts by name.
        target_rate: what the run was trained towards, or None.
    """
    follows = flags.get("target_schedule", "constant") not in ("constant", "annealed")
    of_rates = flags.get("target_unit", "branches") == "branches"
    return target_rate if of_rates and not follows else None


def target_in_words(target_rate):
    """Ends a sentence with the target, where there is one."""
    return "" if target_rate is None else f"; the target is {target_rate:g}"


def listed(names, most=12):
    """Joins names for a sentence; of very many it leaves some out."""
    names = list(names)
    if len(names) > most:
        names = [*names[:most], f"and {len(names) - most} more"]
    return ", ".join(names)


@styled
def rates_over_training(positions, unit, rates, target_rate):
    """Draws a small panel for each gate; the mean of all gates is in each, in grey.

    Args:
        positions: training steps or epochs, [S].
        unit: what they are.
        rates: of each gate, [S, G], in [0, 1].
        target_rate: a dashed line, or None where there is none.

    Returns:
        `Picture`.
    """
    gates = rates.shape[1]
    columns = min(gates, 9 if gates > 20 else 5)
    rows = math.ceil(gates / columns)
    figure = new_figure(max(1.75 * columns, 4) if gates <= 20 else 9, 0.5 + 1.2 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    mean = rates.mean(axis=1)
    for gate, (panel, kind) in enumerate(zip(panels, kinds(rates[-1]), strict=False)):
        if target_rate is not None:
            panel.axhline(target_rate, color=INK, linestyle=(0, (4, 3)), linewidth=0.8)
        panel.plot(positions, mean, color=GREY, linewidth=1, alpha=0.7)
        marker = "o" if len(positions) < 10 else None
        panel.plot(positions, rates[:, gate], KIND_COLORS[kind], linewidth=1.6, marker=marker, ms=3)
        panel.set_title(f"{gate:02d}", pad=3)
        panel.set_title(f"{rates[-1, gate]:.2f}", pad=3, loc="right", color=KIND_COLORS[kind])
        panel.set(ylim=(-0.04, 1.04), yticks=[0, 0.5, 1])
        panel.grid(visible=True)
    for panel in panels[gates:]:
        panel.set_axis_off()
    for panel in panels[max(gates - columns, 0) : gates]:
        panel.tick_params(labelbottom=True)
    figure.supxlabel(unit, fontsize=9)
    figure.supylabel("rate", fontsize=9)
    return Picture(
        name="rates_over_training",
        figure=figure,
        alternative=(
            f"Rate of each of {gates} gates over {positions[-1]:g} {unit}s. At the end: "
            f"{in_words(rates[-1])}. Their mean went from {mean[0]:.2f} to {mean[-1]:.2f}"
            f"{target_in_words(target_rate)}."
        ),
        caption=(
            "Share of the training images for which each gate was open, with sampled decisions. A "
            "panel is a gate; above it, its number and its last rate. Grey: the mean of all gates"
            + ("; dashed: the target at the end." if target_rate is not None else ".")
        ),
    )


def rates_over_epochs(rates):
    """Draws how the gates came to their rates: a row for each gate, a column for each epoch.

    Args:
        rates: [epochs, G], in [0, 1].

    Returns:
        uint8 [400, 640, 3].
    """
    # No figure of pyplot, which would keep it: this one is drawn in every epoch of a run.
    figure = Figure((6.4, 4), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    epochs, gates = rates.shape
    image = axes.imshow(
        rates.T,
        aspect="auto",
        interpolation="nearest",
        vmin=0,
        vmax=1,
        extent=(0.5, epochs + 0.5, gates - 0.5, -0.5),
    )
    axes.set(xlabel="epoch", ylabel="gate", title=f"Rates, mean {rates[-1].mean():.3f}")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(image, label="rate (share of images)")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
