"""The sections of a page that compare runs: the table of section S4, and figure 2."""

import shlex

from tfgates.report import sweep
from tfgates.report.page import Missing
from tfgates.report.results_table import results_table
from tfgates.report.tradeoff import tradeoff


def evaluate(record):
    """The command that measures a run."""
    return f"python -m tfgates.tools.evaluate --run={shlex.quote(record.name)}"


def results(records):
    """The table of section S4."""
    measured = [one for one in records if one.metrics is not None]
    return [
        *([results_table(measured)] if measured else []),
        *(not_evaluated(one) for one in records if one.metrics is None),
    ]


def not_evaluated(record):
    """A note in place of results."""
    return Missing(
        f"{record.name} has not been evaluated: metrics.json is missing. This makes it:",
        evaluate(record),
    )


def costs(records):
    """Error against multiply-adds: policies on the test images, thresholds on the validation's."""
    runs = {one.name: one.metrics.policies for one in records if one.metrics is not None}
    sweeps = {one.name: one.sweep for one in records if one.sweep is not None}
    learned = [
        one
        for one in records
        if one.sweep is None and one.flags.get("gate") not in ("none", "stochastic_depth")
    ]
    return [
        *([tradeoff(runs)] if runs else [not_evaluated(records[0])]),
        *([sweep.draw(sweeps)] if sweeps else []),
        *(
            Missing(
                f"{one.name} has no sweep of the threshold: tau.csv is missing. This makes it, "
                "where there are learned gates:",
                evaluate(one),
            )
            for one in learned
        ),
    ]
