"""The network as a chain of branches, each with its rate, its cost and its shortcut (figure 1)."""

import dataclasses
import math
from typing import Any

import numpy as np
from matplotlib.patches import FancyBboxPatch, Rectangle

from tfgates.gated import Gated
from tfgates.graph.branches import paths
from tfgates.graph.count import count
from tfgates.graph.macs import of_gate
from tfgates.graph.pruning import columns_of
from tfgates.graph.rebuilding import of_shape
from tfgates.report.style import BLUE, GREY, INK, LIGHT, SKY, Picture, new_figure, styled

PER_ROW = 9
# Of a branch: half its side, how far above its middle its shortcut runs; they are 1 apart.
HALF, TOP = 0.34, 0.5
# Letters of a name that fit in.
LONGEST = 9


@dataclasses.dataclass(frozen=True)
class Link:
    """A branch of the chain.

    Attributes:
        name: of the branch.
        gates: columns of its decisions; none where it always runs.
        rate: mean of their rates; 1 without a gate.
        branch, gate: their multiply-adds.
        run: multiply-adds of the branch for a mean image; groups of filters may be masked only.
        identity: whether what leads around it changes nothing.
    """

    name: str
    gates: list[int]
    rate: float
    branch: int
    gate: int
    run: float
    identity: bool


def links(network, input_shape, rates):
    """Describes the branches of a network, those that have a gate and those that always run.

    Args:
        network: functional model, gated or not.
        input_shape: (H, W, C) of its images.
        rates: of each gate, [G].

    Returns:
        List of `Link`.
    """
    network = of_shape(network, (None, *input_shape))
    left_out, found = count(network).branches, []
    indices = {layer.name: list(columns) for layer, columns in columns_of(network)}
    for path in paths(network):
        layers = [node for node in path.nodes if isinstance(node.operation, Gated)]
        gates = [column for node in layers for column in indices[node.operation.name]]
        gate = sum(of_gate(one.operation.gate, one.input_tensors[0].shape) for one in layers)
        own = [rates[column] for column in gates]
        found.append(
            Link(
                name=layers[0].operation.name if layers else path.name,
                gates=gates,
                rate=float(np.mean(own)) if own else 1.0,
                branch=path.macs - gate,
                gate=gate,
                run=path.macs - gate - sum((1 - rates[g]) * left_out[g] for g in gates),
                identity=path.identity,
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
        _branch(axes, column, -1.35 * row, link)
    ends = (-0.72, 0, "stem"), ((len(chain) - 1) % columns + 0.74, -1.35 * (rows - 1), "head")
    for x, y, name in ends:
        axes.text(x, y, name, rotation=90, ha="center", va="center", color=GREY, fontsize=8)
    total = sum(link.branch for link in chain)
    run = sum(link.run for link in chain)
    projections = sum(not link.identity for link in chain)
    return Picture(
        name="chain",
        figure=figure,
        alternative=(
            f"A chain of {len(chain)} branches, {projections} with a projection as shortcut. They "
            f"take {total / 1e6:.2f} million multiply-adds, of which "
            f"{run / 1e6:.2f} million run, {policy}. Each is a row of the table below."
        ),
        caption=(
            f"Each branch is filled up to its rate, {policy}; below it, its million multiply-adds. "
            "The line over a branch is what leads around it, which always runs; a diamond on it "
            "is a projection. A branch without a gate is grey."
        ),
    )


def _branch(axes, x, y, link):
    for side in (-1, 1):
        axes.plot([x + side * HALF, x + side * 0.5], [y, y], color=GREY, lw=1)
    # The shortcut: up, over the branch, and down again.
    axes.plot(
        [x - 0.44, x - 0.44, x - 0.38, x + 0.38, x + 0.44, x + 0.44],
        [y, y + TOP - 0.06, y + TOP, y + TOP, y + TOP - 0.06, y],
        color=GREY,
        lw=1,
    )
    if not link.identity:
        axes.plot([x], [y + TOP], marker="D", ms=6, mfc="white", mec=INK)
    _box(axes, x, y, link)
    rate = f"{link.rate:.2f}" if link.gates else "always"
    cost = f"{link.branch / 1e6:.3g} M"
    number = link.name.removeprefix("block_")[-LONGEST:]
    for above, text, style in (
        (0.13, number, {"fontsize": 8}),
        (-0.11, rate, {"fontsize": 9 if link.gates else 7.5, "weight": "bold"}),
        (-0.47, cost, {"fontsize": 8, "color": BLUE}),
    ):
        axes.text(x, y + above, text, ha="center", va="center", **style)


def _box(axes, x, y, link):
    corner, size = (x - HALF, y - HALF), 2 * HALF
    shape: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.06", "ec": INK}
    outline = FancyBboxPatch(corner, size, size, fc="white", **shape)
    filled = Rectangle(corner, size, size * link.rate, fc=SKY if link.gates else LIGHT)
    for patch in (outline, filled, FancyBboxPatch(corner, size, size, fc="none", **shape)):
        axes.add_patch(patch)
    filled.set_clip_path(outline)
