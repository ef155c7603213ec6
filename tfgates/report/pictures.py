"""The rate of each gate over training, as in the paper's figures 10 to 13."""

import csv

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def rates_over_steps(rates_csv, png, target_rate):
    """Draws the picture.

    Args:
        rates_csv: path of the file that `RateLog` wrote.
        png: path of the picture.
        target_rate: drawn as a dashed line.
    """
    with rates_csv.open(newline="") as file:
        names, *rows = csv.reader(file)
    values = np.array(rows, float).reshape(-1, len(names))
    steps, rates = values[:, 0], values[:, 1:]
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    colors = plt.get_cmap("viridis")(np.linspace(0, 0.95, rates.shape[1]))
    for gate, color in enumerate(colors):
        label = f"gate {gate:02d}" if len(colors) <= 20 else None
        axes.plot(steps, rates[:, gate], color=color, linewidth=1.2, label=label)
    axes.plot(steps, rates.mean(axis=1), color="black", linewidth=2.4, label="mean")
    axes.axhline(target_rate, color="crimson", linestyle="--", label=f"target {target_rate:g}")
    axes.set(xlabel="training step", ylabel="rate (share of images)", ylim=(-0.03, 1.03))
    axes.set_title("How often each block is executed, first gate dark, last gate bright")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.savefig(png, dpi=120)
    plt.close(figure)


def rates_over_epochs(rates):
    """Draws how the gates came to their rates: a row for each gate, a column for each epoch.

    Args:
        rates: [epochs, G], in [0, 1].

    Returns:
        uint8 [400, 640, 3].
    """
    # No figure of pyplot, which would keep it: this one is drawn in every epoch of a run.
    figure = Figure((6.4, 4), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    epochs, gates = rates.shape
    image = axes.imshow(
        rates.T,
        aspect="auto",
        interpolation="nearest",
        vmin=0,
        vmax=1,
        extent=(0.5, epochs + 0.5, gates - 0.5, -0.5),
    )
    axes.set(xlabel="epoch", ylabel="gate", title=f"Rates, mean {rates[-1].mean():.3f}")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(image, label="rate (share of images)")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]
