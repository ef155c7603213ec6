"""The table of section S4: every policy of every run."""

from tfgates.report.page import Table
from tfgates.report.tables import COLUMNS, cells


def results_table(records):
    """Lays out the results of runs, numbers with mean and standard deviation.

    Args:
        records: list of `tfgates.runs.records.Record` that have been evaluated.

    Returns:
        `Table`.
    """
    several = len(records) > 1
    rows = []
    for record in records:
        for result in record.metrics.policies:
            name = [record.name, result.policy] if several else [result.policy]
            rows.append([*name, *cells(result)])
    count = record.metrics.test_images
    return Table(
        f"Every policy on the {count:,} test images; stochastic: mean ± standard deviation",
        [*(["run", "policy"] if several else ["policy"]), *COLUMNS],
        rows,
        texts=1 + several,
    )
