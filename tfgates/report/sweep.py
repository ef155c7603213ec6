"""Many runs as a table: a row for each, or the mean and spread over those of one setting."""

import csv
import statistics

import tabulate

from tfgates.base.files import replacing
from tfgates.report.collapsed import is_collapsed
from tfgates.report.tables import COLUMNS

FIGURES = ("top1_error", "stochastic_top1_error", "rate", "macs", "macs_share", "collapsed")
HEADERS = ("top-1 error %", "stochastic %", "rate", "M multiply-adds", "of ungated", "collapsed")


def summary(metrics):
    """Summarises a run.

    Args:
        metrics: `tfgates.runs.records.Metrics`.

    Returns:
        dict of top1_error, top5_error, rate, macs and macs_share of its own policy;
        stochastic_top1_error, None without gates; gate_rates of sampled gates, as independent ones
        are all open or closed at a threshold; and collapsed, the share of them with a rate below
        0.05 or above 0.95, None without gates.
    """
    own = metrics.policies[0]
    sampled = [one for one in metrics.policies if one.policy.startswith("stochastic")]
    rates = sampled[0].gate_rates if sampled else []
    return {
        **{name: getattr(own, name) for name in COLUMNS},
        "stochastic_top1_error": sampled[0].top1_error if sampled else None,
        "collapsed": sum(map(is_collapsed, rates)) / len(rates) if rates else None,
        "gate_rates": rates,
    }


def write_csv(path, rows):
    """Writes a row for each run.

    Args:
        path: of the file.
        rows: list of dicts; what one lacks is empty, lists of numbers are divided by spaces.
    """
    columns = dict.fromkeys(name for row in rows for name in row)
    with replacing(path, newline="") as file:
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value):
    return " ".join(f"{one:.4f}" for one in value) if isinstance(value, list) else value


def as_text(rows, labels, tablefmt="simple"):
    """Formats rows of `summary` as a table, one line for all that have the same labels.

    Args:
        rows: list of dicts: the labels, and what `summary` returns.
        labels: keys of the columns that name a line.
        tablefmt: of tabulate.

    Returns:
        Text; figures of several rows are their mean and standard deviation.
    """
    groups: dict[tuple, list] = {}
    for row in rows:
        groups.setdefault(tuple(row[label] for label in labels), []).append(row)
    lines = [[*label, str(len(group)), *figures(group).values()] for label, group in groups.items()]
    return tabulate.tabulate(
        lines, [*labels, "runs", *HEADERS], tablefmt=tablefmt, disable_numparse=True
    )


def figures(rows):
    """Formats the `FIGURES` of some runs, as a dict of texts; empty where there is none."""
    form = {
        "top1_error": "{:.2f}",
        "stochastic_top1_error": "{:.2f}",
        "rate": "{:.3f}",
        "macs": "{:.2f}",
        "macs_share": "{:.1f} %",
        "collapsed": "{:.0f} %",
    }
    factor = {"macs": 1e-6, "macs_share": 100, "collapsed": 100}
    texts = {}
    for name in FIGURES:
        values = [row[name] * factor.get(name, 1) for row in rows if row[name] is not None]
        texts[name] = _mean_and_std(values, form[name])
    return texts


def _mean_and_std(values, form):
    if not values:
        return ""
    text = form.format(statistics.mean(values))
    if len(values) == 1:
        return text
    number, _, unit = text.partition(" ")
    spread = form.partition(" ")[0].format(statistics.stdev(values))
    return f"{number} ± {spread} {unit}".rstrip()
