"""The look of every picture, and how it becomes a PNG file or a part of a page.

The colours are those of Okabe and Ito, which colour-blind readers tell apart.
"""

import dataclasses
import functools
import io
import math
import pathlib
import re
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.image import imsave

from tfgates.base.files import in_place_of

INK, GREY, LIGHT = "#1a1a1a", "#5f6368", "#d7dadd"
BLUE, SKY, ORANGE, GREEN = "#0072b2", "#56b4e9", "#c24e00", "#007a5a"
COLORS = (BLUE, ORANGE, GREEN, "#a3477f", "#8a6d00", "#5b4ea8", INK)
MARKERS = "osD^vP*X"
# Pixels of a side of a photograph.
LARGEST = 96
# The element around it is the picture for a screen reader.
ATTRIBUTES = 'aria-hidden="true" focusable="false" stroke-linejoin="round" stroke-linecap="butt"'

LOOK: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    # A class may be called "$5".
    "text.parse_math": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": LIGHT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    # Text stays text, and the same picture is the same file.
    "svg.fonttype": "none",
    "svg.hashsalt": "tfgates",
}


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture of a page.

    Attributes:
        name: of its PNG file, and within the page.
        figure: `matplotlib.figure.Figure`.
        alternative: what it says, for who cannot see it.
        caption: how to read it.
    """

    name: str
    figure: Figure
    alternative: str
    caption: str


def looks_of(names):
    """Gives each name a colour and a marker; beyond seven names the colours come again."""
    return {
        name: (COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)])
        for index, name in enumerate(names)
    }


def styled(draw):
    """Makes a function draw in the common look, whatever the user's matplotlibrc."""

    @functools.wraps(draw)
    def drawn(*arguments, **options):
        with style.context(["default", LOOK]):
            return draw(*arguments, **options)

    return drawn


def new_figure(width, height):
    """Returns an empty figure of a size in inches; a page shows an inch as 96 pixels."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


@styled
def save_png(figure, path):
    """Writes a figure as a PNG file, as a whole or not at all."""
    with in_place_of(pathlib.Path(path)) as unfinished:
        figure.savefig(unfinished, format="png", dpi=144)


@styled
def as_svg(figure, name):
    """Returns a figure as an SVG element for a page.

    Args:
        figure: `matplotlib.figure.Figure`.
        name: prefix of its ids, which are unique in the page then.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # Nothing refers to the ids of groups, and a style would be that of the whole page; without a
    # size it fits its place.
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    # A hundredth of a point is enough.
    svg = re.sub(r' (d|x|y|transform)="[^"]*"', _rounded, svg)
    svg = re.sub(r"\n\s*(?=<)", "", svg)
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = svg.replace("'DejaVu Sans', sans-serif", "system-ui, sans-serif")
    return svg.replace("<svg ", f"<svg {ATTRIBUTES} ", 1)


def as_png(pixels):
    """Returns an image as PNG, scaled down by a whole number to at most about 96 pixels.

    Args:
        pixels: [H, W, 3], from 0 to 255.
    """
    step = math.ceil(max(pixels.shape[:2]) / LARGEST)
    height, width = (size // step * step for size in pixels.shape[:2])
    blocks = pixels[:height, :width].reshape(height // step, step, width // step, step, 3)
    image = blocks.mean(axis=(1, 3)).round().clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    imsave(buffer, image, format="png")
    return buffer.getvalue()


def _rounded(attribute):
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute[0])


def shorten(text, length=22):
    """Shortens a name that is longer than its place in a picture."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
