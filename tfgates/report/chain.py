"""The network as a chain of blocks, each with its rate, its cost and its shortcut (figure 1)."""

import dataclasses
import math
from typing import Any

import numpy as np
from matplotlib.patches import FancyBboxPatch, Rectangle

from tfgates import costs
from tfgates.pruning import indices_of_gates
from tfgates.report.style import BLUE, GREY, INK, LIGHT, SKY, Picture, new_figure, styled

PER_ROW = 9
# Of a block: half its side, and how far above its middle its shortcut runs; blocks are 1 apart.
HALF, TOP = 0.34, 0.5


@dataclasses.dataclass(frozen=True)
class Link:
    """A block of the chain.

    Attributes:
        name: of the block.
        gates: indices of its decisions; none where it always runs.
        rate: mean of their rates; 1 without a gate, 0 without a branch.
        cost: `tfgates.costs.BlockCosts`.
        run: multiply-adds of the branch for a mean image; groups of filters may be masked only.
        shortcut: "identity" or "projection".
        branch: whether it has one: pruning may leave the projection alone.
    """

    name: str
    gates: list[int]
    rate: float
    cost: costs.BlockCosts
    run: float
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
    left_out = costs.count(network, input_shape).branches
    found = []
    for block, gates, cost in zip(
        network.blocks,
        indices_of_gates(network),
        costs.of_blocks(network, input_shape),
        strict=True,
    ):
        own = [rates[gate] for gate in gates]
        found.append(
            Link(
                name=block.name,
                gates=list(gates),
                rate=float(np.mean(own)) if own else float(block.branch is not None),
                cost=cost,
                run=cost.branch - sum((1 - rates[gate]) * left_out[gate] for gate in gates),
                shortcut="identity" if block.shortcut is None else "projection",
                branch=block.branch is not None,
            )
        )
    return found


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
    figure = new_figure(columns + 0.7, 1.35 * rows)
    axes = figure.subplots()
    axes.set(xlim=(-0.85, columns - 0.15), ylim=(-rows * 1.35 + 0.75, 0.6), aspect="equal")
    axes.set_axis_off()
    for index, link in enumerate(chain):
        row, column = divmod(index, columns)
        _block(axes, column, -1.35 * row, link)
    ends = (-0.72, 0, "stem"), ((len(chain) - 1) % columns + 0.74, -1.35 * (rows - 1), "head")
    for x, y, name in ends:
        axes.text(x, y, name, rotation=90, ha="center", va="center", color=GREY, fontsize=8)
    total = sum(link.cost.branch for link in chain)
    run = sum(link.run for link in chain)
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
            "of its branch. The line over a block is its shortcut, which always runs; a "
            "diamond on it is a projection. A block without a gate is grey."
        ),
    )


def _block(axes, x, y, link):
    for side in (-1, 1):
        axes.plot([x + side * HALF, x + side * 0.5], [y, y], color=GREY, lw=1)
    # The shortcut: up, over the block, and down again.
    axes.plot(
        [x - 0.44, x - 0.44, x - 0.38, x + 0.38, x + 0.44, x + 0.44],
        [y, y + TOP - 0.06, y + TOP, y + TOP, y + TOP - 0.06, y],
        color=GREY,
        lw=1,
    )
    if link.shortcut == "projection":
        axes.plot([x], [y + TOP], marker="D", ms=6, mfc="white", mec=INK)
    _box(axes, x, y, link)
    rate = f"{link.rate:.2f}" if link.gates else ("always" if link.branch else "no branch")
    cost = f"{link.cost.branch / 1e6:.3g} M" if link.branch else ""
    number = link.name.removeprefix("block_")
    for above, text, style in (
        (0.13, number, {"fontsize": 8}),
        (-0.11, rate, {"fontsize": 9 if link.gates else 7.5, "weight": "bold"}),
        (-0.47, cost, {"fontsize": 8, "color": BLUE}),
    ):
        axes.text(x, y + above, text, ha="center", va="center", **style)


def _box(axes, x, y, link):
    corner, size = (x - HALF, y - HALF), 2 * HALF
    shape: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.06", "ec": INK}
    shape["ls"] = "-" if link.branch else (0, (3, 2))
    outline = FancyBboxPatch(corner, size, size, fc="white", **shape)
    filled = Rectangle(corner, size, size * link.rate, fc=SKY if link.gates else LIGHT)
    for patch in (outline, filled, FancyBboxPatch(corner, size, size, fc="none", **shape)):
        axes.add_patch(patch)
    filled.set_clip_path(outline)
