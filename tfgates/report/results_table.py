"""The table of section S4: every policy of every run."""

from tfgates.report.page import Table
from tfgates.report.tables import COLUMNS, cells


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
        ["policy", *COLUMNS[:-1], f"of {largest / 1e6:,.2f} M" if several else COLUMNS[-1]],
        groups,
    )
