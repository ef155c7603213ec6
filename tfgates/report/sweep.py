"""Error against multiply-adds over the threshold of the gates, as CSV and PNG (figure 2)."""

import csv

import matplotlib.pyplot as plt

COLUMNS = ("top1_error", "top5_error", "rate", "macs", "macs_share")


def write_csv(results, path):
    """Writes a row for each threshold.

    Args:
        results: list of `Result` of `tfgates.inference.evaluate.sweep`.
        path: of the file.
    """
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["tau", *COLUMNS])
        writer.writerows(
            [result.policy, *(getattr(result, column) for column in COLUMNS)] for result in results
        )


def draw(results, path):
    """Draws the same as a curve, each threshold beside its point."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    macs = [result.macs / 1e6 for result in results]
    errors = [result.top1_error for result in results]
    axes.plot(macs, errors, marker="o", color="#31688e")
    for result, x, y in zip(results, macs, errors, strict=True):
        axes.annotate(result.policy, (x, y), (4, 5), textcoords="offset points", fontsize=8)
    axes.set(xlabel="million multiply-adds per image", ylabel="top-1 error, percent")
    axes.set_title("A higher threshold runs fewer blocks (numbers: tau)")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    plt.close(figure)
