"""Pictures of the rate of each gate: over the training (figures 10-13), and after it (5 and 7)."""

import math
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from tfgates.report.collapsed import BETWEEN, CLOSED, OPEN, in_words, kinds
from tfgates.report.style import BLUE, GREEN, GREY, INK, LIGHT, ORANGE, Picture, new_figure, styled

KIND_COLORS = {OPEN: BLUE, BETWEEN: GREEN, CLOSED: ORANGE}
HATCHES = {OPEN: None, BETWEEN: "////", CLOSED: None}


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


@styled
def final_rates(bars, dots, target_rate):
    """Draws a bar and a dot for each gate.

    Args:
        bars: name of a policy and the rate of each gate under it, [G].
        dots: the same with sampled decisions, which show what has collapsed: at a threshold every
            independent gate is open or closed.
        target_rate: a dashed line, or None.

    Returns:
        `Picture`.
    """
    (policy, rates), (other, of_other) = bars, dots
    gates, found = np.arange(len(rates)), kinds(of_other)
    figure = new_figure(min(max(1.5 + 0.42 * len(rates), 7), 10), 3.4)
    axes = figure.subplots()
    axes.axhspan(0.95, 1, color=LIGHT, alpha=0.6, linewidth=0)
    axes.axhspan(0, 0.05, color=LIGHT, alpha=0.6, linewidth=0)
    if target_rate is not None:
        axes.axhline(target_rate, color=INK, linestyle=(0, (4, 3)), linewidth=0.8)
    for kind, color in KIND_COLORS.items():
        own = np.array([one == kind for one in found])
        style = {"color": color, "hatch": HATCHES[kind], "edgecolor": "white", "linewidth": 0}
        axes.bar(gates[own], np.array(rates)[own], width=0.72, **style)
        if kind == CLOSED:
            axes.plot(gates[own], np.zeros(own.sum()), "x", color=color, ms=6, clip_on=False)
    axes.plot(gates, of_other, "o", mfc="white", mec=INK, mew=1, ms=4.5, clip_on=False)
    labels = [f"{gate:02d}" for gate in gates]
    axes.set_xticks(gates, labels, rotation=90 if len(rates) > 28 else 0)
    axes.set(xlim=(-0.7, len(rates) - 0.3), ylim=(0, 1), xlabel="gate, from the first branch")
    axes.set(ylabel="rate")
    axes.tick_params(axis="x", length=0, pad=7)
    axes.grid(visible=True, axis="y")
    figure.legend(handles=_legend(policy, other, found), loc="outside upper left", ncols=4)
    return Picture(
        name="final_rates",
        figure=figure,
        alternative=(
            f"Rate of each gate, {other}: {in_words(of_other)}. Mean rate: {other} "
            f"{np.mean(of_other):.3f}, {policy} {np.mean(rates):.3f}"
            f"{target_in_words(target_rate)}."
        ),
        caption=(
            f"Bars: {policy}. Circles: {other}. Grey bands: rates above 0.95 or below 0.05, where "
            "a sampled gate counts as collapsed."
            + (" Dashed: the target." if target_rate is not None else "")
        ),
    )


def _legend(policy, other, found):
    handles: list[Any] = [
        Patch(color=KIND_COLORS[kind], hatch=HATCHES[kind], ec="white", lw=0, label=kind)
        for kind in (OPEN, BETWEEN)
        if kind in found
    ]
    if CLOSED in found:
        color = KIND_COLORS[CLOSED]
        handles.append(Line2D([], [], marker="x", ls="", color=color, label=CLOSED))
    circle = Line2D([], [], marker="o", ls="", mfc="white", mec=INK, label=other)
    return [*handles, circle]
