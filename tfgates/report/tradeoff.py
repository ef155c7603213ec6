"""Error against multiply-adds: every policy of every run, and every threshold (figure 2)."""

import itertools

from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from tfgates.report.point_labels import place
from tfgates.report.style import GREY, MARKERS, Picture, new_figure, styled

TICKS = [digit * 10.0**power for power in range(-3, 7) for digit in (1, 1.5, 2, 3, 4, 5, 7)]
# The policies of more runs could not be told apart.
MANY = 6


@styled
def tradeoff(runs, looks):
    """Draws a point for each policy of each run; of more than some runs, of their own policy.

    Args:
        runs: by name, a list of `Result`, that of the network's own policy first.
        looks: colour and marker by name of the run.

    Returns:
        `Picture`.
    """
    figure = new_figure(8, 4.6)
    axes = figure.subplots()
    shown = {name: results[: 1 if len(runs) > MANY else None] for name, results in runs.items()}
    policies = dict.fromkeys(result.policy for results in shown.values() for result in results)
    shapes = dict(zip(policies, MARKERS * len(policies), strict=False))
    points: list[tuple] = []
    texts: list[str] = []
    colors: list[str] = []
    for index, (name, results) in enumerate(shown.items()):
        color, _ = looks[name]
        points += _points(axes, results, shapes, color)
        colors += [color] * len(results)
        letter = "" if len(runs) > MANY else "ABCDEF"[index]
        several = [f"{letter} {name}".strip(), *[letter] * (len(results) - 1)]
        texts += [one.policy for one in results] if len(runs) == 1 else several
    _compute_axis(axes, [x for x, _ in points])
    axes.set(ylabel="top-1 error, %")
    axes.grid(visible=True)
    if len(runs) > 1:
        figure.legend(handles=_shapes(shapes), loc="outside upper left", ncols=3)
    place(figure, axes, points, texts, colors)
    return Picture(
        name="tradeoff",
        figure=figure,
        alternative=f"Top-1 error on the test images against multiply-adds. {_in_words(runs)}.",
        caption=(
            "On the test images. Filled: the network's own policy. Further left is cheaper, "
            "further down more accurate. An ensemble pays for all of its passes; the bar of the "
            "stochastic passes is their standard deviation."
        ),
    )


def _points(axes, results, shapes, color):
    """Draws the policies of a run, the first one filled; returns their coordinates."""
    points = [(result.macs / 1e6, result.top1_error) for result in results]
    for own, point, result in zip([True, *[False] * len(points)], points, results, strict=False):
        axes.errorbar(
            *point,
            yerr=result.top1_error_std,
            color=color,
            marker=shapes[result.policy],
            ms=8 if own else 6,
            mfc=color if own else "white",
        )
    return points


def _compute_axis(axes, values):
    """Costs differ by factors: a logarithmic axis with round numbers."""
    low, high = min(values) / 1.15, max(values) * 1.15
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.margins(y=0.15)
    if ticks:
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.set_xlabel("million multiply-adds per image, logarithmic")


def _shapes(shapes):
    return [
        Line2D([], [], color=GREY, mfc="white", marker=marker, ls="", label=policy)
        for policy, marker in shapes.items()
    ]


def _in_words(runs):
    return "; ".join(
        f"{name}: "
        + ", ".join(
            f"{one.policy} {one.top1_error:.2f} % at {one.macs / 1e6:.2f} million"
            for one in (results if len(runs) == 1 else results[:1])
        )
        for name, results in runs.items()
    )


@styled
def thresholds(runs, looks):
    """Draws a curve for each run, each threshold beside its point where there is one run.

    Args:
        runs: by name of the run, a list of `Result` whose policies are thresholds.
        looks: colour and marker by name of the run.

    Returns:
        `Picture`.
    """
    figure = new_figure(7, 4.2)
    axes = figure.subplots()
    ends, names, colors, points = [], [], [], []
    for name, results in runs.items():
        color, marker = looks[name]
        own = [(result.macs / 1e6, result.top1_error) for result in results]
        axes.plot(*zip(*own, strict=True), color=color, marker=marker, ms=5, label=name)
        taus = [result.policy for result in results]
        single = len(runs) == 1
        ends += own if single else own[:1]
        names += taus if single else [name]
        colors += [color] * (len(taus) if single else 1)
        points += _along(own)
    axes.set(xlabel="million multiply-adds per image", ylabel="top-1 error, %")
    axes.margins(0.08, 0.12)
    axes.grid(visible=True)
    place(figure, axes, ends, names, colors, points)
    told = "; ".join(f"{name}: {_from_to(results)}" for name, results in runs.items())
    beside = "its tau" if len(runs) == 1 else "the run, at its lowest tau"
    return Picture(
        name="thresholds",
        figure=figure,
        alternative=f"Top-1 error on the validation images against multiply-adds. {told}.",
        caption=(
            "On the validation images: a higher threshold runs fewer branches. A point is a "
            f"threshold; beside it, {beside}."
        ),
    )


def _along(points):
    """Points on the lines between points, which labels leave free."""
    steps = [step / 8 for step in range(8)]
    return [
        tuple(one + (other - one) * step for one, other in zip(start, end, strict=True))
        for start, end in itertools.pairwise(points)
        for step in steps
    ]


def _from_to(results):
    first, last = results[0], results[-1]
    return (
        f"from tau {first.policy} ({first.macs / 1e6:.2f} million multiply-adds, "
        f"{first.top1_error:.2f} % error) to {last.policy} ({last.macs / 1e6:.2f} million, "
        f"{last.top1_error:.2f} %)"
    )
