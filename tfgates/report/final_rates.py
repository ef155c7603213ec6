"""The rate of each gate after training, the collapsed ones marked (figures 5 and 7)."""

from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from tfgates.report.pictures import (
    BETWEEN,
    CLOSED,
    KIND_COLORS,
    OPEN,
    in_words,
    kinds,
    target_in_words,
)
from tfgates.report.style import INK, LIGHT, Picture, new_figure, styled

HATCHES = {OPEN: None, BETWEEN: "////", CLOSED: None}


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
