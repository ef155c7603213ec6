"""Whether gating pays: what gated networks err more or less than plain ones of equal cost.

The measure was chosen before the runs. It is the difference of the test error of a gated network,
at the threshold that was calibrated on the validation images, and of the plain networks of the same
seed and teacher, interpolated linearly over the multiply-adds. Below 0 gating pays.

A cell is a kind of gates, a target and a teacher; its seeds are its observations. The spread is
taken to be alike in all cells: its square is the mean over the cells of the variance between seeds,
with as many degrees of freedom as there are seeds beyond the first of each. Student's t, two-sided;
of all cells together the probabilities are corrected by Holm's method (1979), at 5 %.
"""

import math
import statistics

import numpy as np
from scipy import stats

from benchmarks.student import LEVEL, holm, two_sided

COLUMNS = (
    "network",
    "target",
    "teacher",
    "seeds",
    "M multiply-adds",
    "top-1 error %",
    "at the threshold 0.5",
)
HEADERS = (
    "gates",
    "target",
    "teacher",
    "less plain, points",
    "95 % interval",
    "p, after Holm",
    "gating",
    "less its own plain network",
    "multiply-adds to target",
)
IN_TIME = (
    "gates",
    "target",
    "teacher",
    "batch",
    "ms an image",
    "of plain 32",
    "less plain, points",
)
ABLATION = (
    "part",
    "M multiply-adds",
    "to target",
    "top-1 error %",
    "less plain, points",
    "less without the part",
)
# The plain network that gates were put into.
OWN = "plain 32"


def lines(rows):
    """Returns a line for each arm, the mean over its seeds, with the `COLUMNS`."""
    groups: dict[tuple, list] = {}
    for row in rows:
        groups.setdefault(_cell(row), []).append(row)
    return [
        (
            *cell,
            str(len(group)),
            f"{_mean(group, 'calibrated_macs') / 1e6:.2f}",
            _mean_and_spread(group, "calibrated_error"),
            f"{_mean(group, 'top1_error'):.2f} at {_mean(group, 'macs') / 1e6:.2f} M",
        )
        for cell, group in groups.items()
    ]


def chosen(swept, rows, kind):
    """Returns the lambda of a kind of gates that errs least beside plain, on validation images.

    Args:
        swept: rows of gated networks, with "lambda".
        rows: those of plain networks of the same seed.
        kind: of gates.
    """
    own = [row for row in swept if row["arm"] == kind]
    best = min(own, key=lambda row: excess(row, rows, "validation_error", "validation_macs"))
    return best["lambda"]


def excess(row, rows, error="calibrated_error", macs="calibrated_macs"):
    """Returns the error of a row less that of the plain curve at its multiply-adds, in points."""
    curve = sorted(
        (one[macs], one[error])
        for one in rows
        if one["arm"].startswith("plain") and _pair(one) == _pair(row)
    )
    return float(row[error] - np.interp(row[macs], *zip(*curve, strict=True)))


def verdicts(rows):
    """Returns a line for each cell, with the `HEADERS`."""
    cells: dict[tuple, list] = {}
    for row in rows:
        if not row["arm"].startswith("plain"):
            cells.setdefault(_cell(row), []).append(row)
    gained = {cell: [excess(row, rows) for row in group] for cell, group in cells.items()}
    spread, freedom = pooled(list(gained.values()))
    tests = {}
    for cell, values in gained.items():
        error = spread / math.sqrt(len(values))
        tests[cell] = two_sided(statistics.mean(values) / error, freedom) if error else 1.0
    corrected = dict(zip(tests, holm(list(tests.values())), strict=True))
    reach = stats.t.ppf(1 - LEVEL / 2, freedom) * spread if freedom else math.inf
    found = []
    for cell, values in gained.items():
        mean, half = statistics.mean(values), reach / math.sqrt(len(values))
        open_ = corrected[cell] > LEVEL
        found.append(
            (
                *cell,
                f"{mean:+.2f}",
                f"{mean - half:+.2f} to {mean + half:+.2f}",
                f"{corrected[cell]:.3f}",
                "open" if open_ else "pays" if mean < 0 else "costs",
                f"{_beside_own(cells[cell], rows):+.2f}",
                f"{_reached(cells[cell], rows):.3f}",
            )
        )
    return found


def points(rows):
    """Returns the rows as `runs_picture.draw` takes them, at the calibrated thresholds."""
    found = []
    for row in rows:
        arm, _, depth = row["arm"].partition(" ")
        taught = ", teacher" if row["teacher"] else ""
        found.append(
            {
                "gates": arm + taught,
                "target": f"ResNet-{depth}" if depth else row["target"],
                "macs": row["calibrated_macs"],
                "top1_error": row["calibrated_error"],
            }
        )
    return found


def in_time(rows, times):
    """Returns a line for each cell and number of images in a call, with the headers `IN_TIME`.

    Args:
        rows: of all runs; those that were not timed are left out.
        times: milliseconds of an image by run and batch.
    """
    found = []
    for batch in sorted({batch for _, batch in times}):
        timed = [
            {**row, "ms": times[row["run"], batch]} for row in rows if (row["run"], batch) in times
        ]
        cells: dict[tuple, list] = {}
        for row in timed:
            if not row["arm"].startswith("plain"):
                cells.setdefault(_cell(row), []).append(row)
        full = _mean([row for row in timed if row["arm"] == OWN], "ms")
        for cell, group in cells.items():
            gained = [excess(row, timed, macs="ms") for row in group]
            spent = _mean(group, "ms")
            shown = f"{spent:.3f}", f"{spent / full:.3f}", f"{statistics.mean(gained):+.2f}"
            found.append((*cell, str(batch), *shown))
    return found


def ablation(parts, rows):
    """Returns a line for each part of the recipe, with the headers `ABLATION`.

    The last column compares what they err less or more than the plain curve, so that a network is
    not praised for costing more. One seed each: how much that differs between seeds is above.

    Args:
        parts: rows of dependent gates with one flag more, of one target and seed.
        rows: those of all other runs.
    """
    (base,) = [
        row
        for row in rows
        if row["arm"] == "dependent"
        and row["target"] == parts[0]["target"]
        and _pair(row) == _pair(parts[0])
    ]
    return [
        (
            row["arm"] if row is not base else "",
            f"{row['calibrated_macs'] / 1e6:.2f}",
            f"{_reached([row], rows):.3f}",
            f"{row['calibrated_error']:.2f}",
            f"{excess(row, rows):+.2f}",
            f"{excess(row, rows) - excess(base, rows):+.2f}" if row is not base else "",
        )
        for row in (base, *parts)
    ]


def pooled(groups):
    """Returns the standard deviation within groups of values, and its degrees of freedom."""
    freedom = sum(len(values) - 1 for values in groups)
    if not freedom:
        return 0.0, 0
    squares = sum(
        (np.array(values) - np.mean(values)) @ (values - np.mean(values)) for values in groups
    )
    return math.sqrt(squares / freedom), freedom


def _beside_own(group, rows):
    """The error less that of the network that the gates were put into, the mean over seeds."""
    own = {_pair(row): row["calibrated_error"] for row in rows if row["arm"] == OWN}
    return statistics.mean(row["calibrated_error"] - own[_pair(row)] for row in group)


def _reached(group, rows):
    (full,) = {row["calibrated_macs"] for row in rows if row["arm"] == OWN}
    return _mean(group, "calibrated_macs") / (float(group[0]["target"]) * full)


def _cell(row):
    return row["arm"], row["target"], f"ResNet-{row['teacher']}" if row["teacher"] else ""


def _pair(row):
    return row["seed"], row["teacher"]


def _mean(group, name):
    return statistics.mean(row[name] for row in group)


def _mean_and_spread(group, name):
    values = [row[name] for row in group]
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"
