"""Draws error against multiply-adds of many runs."""

import math
import statistics

from benchmarks.verdicts import having
from tfgates.report.point_labels import place
from tfgates.report.style import COLORS, MARKERS, new_figure, save_png, styled


@styled
def draw(rows, path, highest=math.inf):
    """Draws error against multiply-adds: the mean of the seeds, and each run as a small mark.

    Args:
        rows: list of dicts with gates, target, macs and top1_error; a point is named by its
            target, or its gates where there is none.
        path: of the PNG file.
        highest: error in percent; what errs more would press all others together, and is left out.
    """
    rows = [row for row in rows if _mean_error(rows, row) <= highest]
    figure = new_figure(8, 5)
    axes = figure.subplots()
    points: list[tuple] = []
    texts: list[str] = []
    colors: list[str] = []
    for index, gates in enumerate(dict.fromkeys(row["gates"] for row in rows)):
        color = COLORS[index % len(COLORS)]
        own = having(rows, "gates", gates)
        marker = MARKERS[index // len(COLORS)]
        axes.plot(*_places(own), ls="", marker=marker, ms=3, mew=0, alpha=0.6, color=color)
        targets = dict.fromkeys(row["target"] for row in own)
        means = [
            [statistics.mean(values) for values in _places(having(own, "target", target))]
            for target in targets
        ]
        line = sorted(means)
        axes.plot(*zip(*line, strict=True), marker=marker, color=color, lw=1, label=gates)
        points += means
        texts += [str(target) or gates for target in targets]
        colors += [color] * len(targets)
    axes.set(xlabel="million multiply-adds of a test image", ylabel="top-1 error, %")
    axes.margins(0.08)
    axes.grid(visible=True)
    figure.legend(loc="outside upper left", ncols=3)
    place(
        figure, axes, points, texts, colors, [(x, y) for x, y in zip(*_places(rows), strict=True)]
    )
    save_png(figure, path)


def _mean_error(rows, row):
    """Mean over the runs with the gates and the target of one of them."""
    same = having(having(rows, "gates", row["gates"]), "target", row["target"])
    return statistics.mean(one["top1_error"] for one in same)


def _places(rows):
    return [row["macs"] / 1e6 for row in rows], [row["top1_error"] for row in rows]
