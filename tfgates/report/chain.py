"""The network as a chain of blocks, each with its rate, its cost and its shortcut (figure 1)."""

import dataclasses
import math

import numpy as np
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from tfgates import costs
from tfgates.pruning import indices_of_gates
from tfgates.report.style import BLUE, GREY, INK, SKY, Picture, new_figure, styled

PER_ROW = 9


@dataclasses.dataclass(frozen=True)
class Link:
    """A block of the chain.

    Attributes:
        name: of the block.
        gates: indices of its decisions; none where it always runs.
        rate: mean of their rates; 1 without a gate, 0 without a branch.
        cost: `tfgates.costs.BlockCosts`.
        shortcut: "identity" or "projection".
        branch: whether it has one: pruning may leave the projection alone.
    """

    name: str
    gates: list[int]
    rate: float
    cost: costs.BlockCosts
    shortcut: str
    branch: bool


def links(network, input_shape, rates):
    """Describes the blocks of a network.

    Args:
        network: built `GatedNetwork`.
        input_shape: (H, W, C) of its images.
        rates: of each gate, [G].

    Returns:
        List of `Link`.
    """
    return [
        Link(
            name=block.name,
            gates=list(gates),
            rate=float(np.mean([rates[gate] for gate in gates])) if gates else float(has_branch),
            cost=cost,
            shortcut="identity" if block.shortcut is None else "projection",
            branch=has_branch,
        )
        for block, gates, cost in zip(
            network.blocks,
            indices_of_gates(network),
            costs.of_blocks(network, input_shape),
            strict=True,
        )
        for has_branch in (block.branch is not None,)
    ]


@styled
def draw(chain, policy):
    """Draws the chain, in rows from left to right.

    Args:
        chain: list of `Link`, at least one.
        policy: whose rates they are.

    Returns:
        `Picture`.
    """
    rows = math.ceil(len(chain) / PER_ROW)
    columns = math.ceil(len(chain) / rows)
    figure = new_figure(max(1.02 * (columns + 1), 4), 1.55 * rows)
    axes = figure.subplots()
    axes.set(xlim=(-0.75, columns + 0.05), ylim=(-rows * 1.5 + 0.45, 0.78), aspect="equal")
    axes.set_axis_off()
    for index, link in enumerate(chain):
        row, column = divmod(index, columns)
        _block(axes, column, -1.5 * row, link)
    ends = (-0.72, 0, "stem"), ((len(chain) - 1) % columns + 0.74, -1.5 * (rows - 1), "head")
    for x, y, name in ends:
        axes.text(x, y, name, rotation=90, ha="center", va="center", color=GREY, fontsize=8)
    total = sum(link.cost.branch for link in chain)
    run = sum(link.rate * link.cost.branch for link in chain)
    projections = sum(link.shortcut == "projection" for link in chain)
    return Picture(
        name="chain",
        figure=figure,
        alternative=(
            f"A chain of {len(chain)} blocks, {projections} with a projection as shortcut. Their "
            f"branches take {total / 1e6:.2f} million multiply-adds, of which "
            f"{run / 1e6:.2f} million run, {policy}. Each block is a row of the table below."
        ),
        caption=(
            f"Each block is filled up to its rate, {policy}; below it, the million multiply-adds "
            "of its branch. The arc is the shortcut that always runs; a diamond on it is a "
            "projection. A block without a gate is grey."
        ),
    )


def _block(axes, x, y, link):
    half, style = 0.34, "round,pad=0,rounding_size=0.06"
    axes.plot([x - 0.5, x - half], [y, y], color=GREY, lw=1)
    axes.plot([x + half, x + 0.5], [y, y], color=GREY, lw=1)
    axes.add_patch(
        FancyArrowPatch(
            (x - 0.46, y), (x + 0.46, y), connectionstyle="arc3,rad=-0.78", arrowstyle="-", ec=GREY
        )
    )
    if link.shortcut == "projection":
        axes.plot([x], [y + 0.5 * 0.78 * 0.92], marker="D", ms=6, mfc="white", mec=INK)
    outline = FancyBboxPatch(
        (x - half, y - half), 2 * half, 2 * half, boxstyle=style, fc="white", ec=GREY
    )
    axes.add_patch(outline)
    filled = Rectangle(
        (x - half, y - half), 2 * half, 2 * half * link.rate, fc=SKY if link.gates else "#d7dadd"
    )
    axes.add_patch(filled)
    filled.set_clip_path(outline)
    ls = "-" if link.branch else (0, (3, 2))
    axes.add_patch(
        FancyBboxPatch(
            (x - half, y - half), 2 * half, 2 * half, boxstyle=style, fc="none", ec=INK, ls=ls
        )
    )
    number = link.name.removeprefix("block_")
    rate = f"{link.rate:.2f}" if link.gates else ("always" if link.branch else "no branch")
    axes.text(x, y + 0.13, number, ha="center", va="center", fontsize=8)
    axes.text(
        x,
        y - 0.11,
        rate,
        ha="center",
        va="center",
        fontsize=9 if link.gates else 7.5,
        weight="bold",
    )
    axes.text(
        x,
        y - 0.46,
        f"{link.cost.branch / 1e6:.3g} M",
        ha="center",
        va="center",
        fontsize=8,
        color=BLUE,
    )
