"""Error against multiply-adds over the threshold of the gates, as CSV and picture (figure 2)."""

import csv
import itertools

from tfgates.base.files import replacing
from tfgates.report.labels import place
from tfgates.report.style import Picture, new_figure, styled

COLUMNS = ("top1_error", "top5_error", "rate", "macs", "macs_share")
# The name under which results carry the digest of their model.
DIGEST = "model_sha256"


def write_csv(results, path, digest):
    """Writes a row for each threshold.

    Args:
        results: list of `Result` of `tfgates.inference.evaluate.evaluate_thresholds`.
        path: of the file.
        digest: of the model that they are of.
    """
    with replacing(path, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["tau", *COLUMNS, DIGEST])
        writer.writerows(
            [result.policy, *(getattr(result, column) for column in COLUMNS), digest]
            for result in results
        )


@styled
def draw(runs, looks):
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
    told = "; ".join(f"{name}: {_in_words(results)}" for name, results in runs.items())
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


def _in_words(results):
    first, last = results[0], results[-1]
    return (
        f"from tau {first.policy} ({first.macs / 1e6:.2f} million multiply-adds, "
        f"{first.top1_error:.2f} % error) to {last.policy} ({last.macs / 1e6:.2f} million, "
        f"{last.top1_error:.2f} %)"
    )
