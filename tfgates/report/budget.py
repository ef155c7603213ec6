"""What can be had within a budget: runs at thresholds, as text, CSV and PNG."""

import csv

import tabulate

from tfgates.base.files import replacing
from tfgates.report.style import COLORS, INK, MARKERS, new_figure, save_png, styled
from tfgates.report.tables import COLUMNS


def as_text(candidates, chosen):
    """Formats candidates as a table with a mark on the chosen one, which may be None."""
    headers = ["", "run", "tau", "top-1 error %", "rate", "M multiply-adds", "ms an image"]
    rows = [
        [
            "->" if one == chosen else "",
            one.run,
            f"{one.tau:g}",
            f"{one.result.top1_error:.2f}",
            f"{one.result.rate:.3f}",
            f"{one.result.macs / 1e6:.2f}",
            "" if one.milliseconds is None else f"{one.milliseconds:.2f}",
        ]
        for one in candidates
    ]
    if candidates[0].milliseconds is None:
        headers, rows = headers[:-1], [row[:-1] for row in rows]
    align = ["left", "left", *["right"] * (len(headers) - 2)]
    return tabulate.tabulate(rows, headers, disable_numparse=True, colalign=align)


def write_csv(candidates, frontier, chosen, path):
    """Writes a row for each candidate; on_frontier and chosen are 0 or 1.

    Args:
        candidates: list of `tfgates.inference.budget.Candidate`.
        frontier: those on the frontier.
        chosen: one of them.
        path: of the file.
    """
    with replacing(path, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run", "tau", *COLUMNS, "milliseconds", "on_frontier", "chosen"])
        writer.writerows(
            [
                one.run,
                f"{one.tau:g}",
                *(getattr(one.result, column) for column in COLUMNS),
                one.milliseconds,
                int(one in frontier),
                int(one == chosen),
            ]
            for one in candidates
        )


@styled
def draw(candidates, frontier, chosen, budget, path):
    """Draws error against cost, with the budget as a dashed line."""
    figure = new_figure(7, 4.2)
    axes = figure.subplots()
    by_time = chosen.milliseconds is not None
    unit, scale = ("milliseconds", 1) if by_time else ("million multiply-adds", 1e6)

    def points(some):
        return [one.cost / scale for one in some], [one.result.top1_error for one in some]

    for index, run in enumerate(sorted({one.run for one in candidates})):
        color, marker = COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)]
        own = points([one for one in candidates if one.run == run])
        axes.plot(*own, ls="", color=color, marker=marker, ms=4, label=run)
    axes.plot(*points(frontier), color=INK, linewidth=1, label="frontier")
    star = {"marker": "*", "ms": 15, "mfc": "white", "mec": INK, "ls": ""}
    axes.plot(*points([chosen]), **star, label=f"chosen, tau {chosen.tau:g}")
    axes.axvline(budget / scale, color=INK, linestyle=(0, (4, 3)), label="budget")
    axes.set(xlabel=f"{unit} per image", ylabel="top-1 error, %")
    axes.set_title("Validation error over the threshold")
    axes.grid(visible=True)
    axes.legend()
    save_png(figure, path)
