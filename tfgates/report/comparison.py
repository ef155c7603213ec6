"""The sections of a page that compare runs: the table of section S4, and figure 2."""

import shlex

from tfgates.report.page import Missing, Table
from tfgates.report.style import looks_of
from tfgates.report.tables import HEADERS, cells
from tfgates.report.tradeoff import thresholds, tradeoff

# Values of --gate of networks that have no threshold.
WITHOUT_THRESHOLDS = ("none", "stochastic_depth", "nested")
# Flags that runs are compared by: here, in TensorBoard and in the model card.
COMPARED = (
    "dataset",
    "image_size",
    "augment",
    "mix",
    "network",
    "init_from",
    "fresh_weights",
    "gate",
    "gated",
    "target_loss",
    "target_rate",
    "branch_targets",
    "target_weight",
    "target_penalty",
    "target_unit",
    "target_schedule",
    "teacher",
    "epochs",
    "batch_size",
    "learning_rate",
    "learning_rate_schedule",
    "decay_epochs",
    "weight_decay",
    "precision",
    "seed",
)


def evaluate(name):
    """The command that measures the run of a folder."""
    return f"python -m tfgates.tools.evaluate --run={shlex.quote(str(name))}"


def results(records):
    """How the runs differ, and the table of section S4."""
    measured = [one for one in records if one.metrics is not None]
    return [
        *([differences(records)] if len(records) > 1 else []),
        *([results_table(measured)] if measured else []),
        *(not_evaluated(one) for one in records if one.metrics is None),
    ]


def results_table(records):
    """Lays out the results of runs, numbers with mean and standard deviation.

    The multiply-adds of several runs are shares of the same number, those of the largest network.

    Args:
        records: list of `tfgates.runs.records.Record` that have been evaluated.

    Returns:
        `Table`.
    """
    several = len(records) > 1
    largest = max(record.metrics.ungated_macs for record in records)
    groups = {
        record.name if several else "": [
            [result.policy, *cells(result)[:-1], f"{100 * result.macs / largest:.1f} %"]
            for result in record.metrics.policies
        ]
        for record in records
    }
    count = records[0].metrics.test_images
    return Table(
        f"Every policy on the {count:,} test images; stochastic: mean ± standard deviation",
        ["policy", *HEADERS[:-1], f"of {largest / 1e6:,.2f} M" if several else HEADERS[-1]],
        groups,
    )


def differences(records):
    """Lists for each run the flags of its training that are not the same in all."""
    unlike = [
        flag
        for flag in COMPARED
        if len({one.flags[flag] for one in records if flag in one.flags}) > 1
    ]
    rows = [
        [one.name, ", ".join(f"{flag}={one.flags[flag]}" for flag in unlike if flag in one.flags)]
        for one in records
    ]
    headers = ["run", "its flags that are not those of all runs"]
    return Table("How the runs differ", headers, {"": rows}, texts=2)


def not_evaluated(record):
    """A note in place of results."""
    return Missing(
        f"{record.name} has not been evaluated: metrics.json is missing or of another model. This "
        "makes it:",
        evaluate(record.name),
    )


def costs(records):
    """Error against multiply-adds: policies on the test images, thresholds on the validation's."""
    looks = looks_of(one.name for one in records)
    runs = {one.name: one.metrics.policies for one in records if one.metrics is not None}
    found = {one.name: one.thresholds for one in records if one.thresholds is not None}
    learned = [
        one
        for one in records
        if one.thresholds is None and one.flags.get("gate") not in WITHOUT_THRESHOLDS
    ]
    return [
        *([tradeoff(runs, looks)] if runs else [not_evaluated(records[0])]),
        *([thresholds(found, looks)] if found else []),
        *(
            Missing(
                f"{one.name} has no thresholds: thresholds.csv is missing or of another "
                "model. This makes it, where there are learned gates:",
                evaluate(one.name),
            )
            for one in learned
        ),
    ]
