"""Names beside points, none on top of another."""

from typing import Any

from matplotlib.text import Text
from matplotlib.transforms import Bbox

from tfgates.report.style import GREY

# Where a label may stand, in points from its point: x, y, horizontal and vertical alignment.
PLACES = [
    (x * far, y * far, across, along)
    for far in (6, 14, 24, 36)
    for x, y, across, along in (
        (1, 0.5, "left", "bottom"),
        (-1, 0.5, "right", "bottom"),
        (1, -0.5, "left", "top"),
        (-1, -0.5, "right", "top"),
        (0, 1, "center", "bottom"),
        (0, -1, "center", "top"),
    )
]


def place(figure, axes, points, texts, colors, obstacles=()):
    """Writes a text beside each point where it covers no other text and no point.

    Args:
        figure: the figure, else finished.
        axes: in it.
        points: list of (x, y) in data coordinates.
        texts, colors: one for each point.
        obstacles: further points to leave free.
    """
    figure.draw_without_rendering()
    taken = [_around(axes, point) for point in (*points, *obstacles)]
    for point, text, color in zip(points, texts, colors, strict=True):
        tried: list[Any] = []
        for where in PLACES:
            label = _write(axes, point, text, color, where)
            # The first call moves it to its place, and counts in the line to its point.
            label.get_window_extent()
            box = Text.get_window_extent(label)
            tried.append((_covered(box, taken, axes), len(tried), label, box))
            if not tried[-1][0]:
                break
        best = min(tried)
        for one in tried:
            if one is not best:
                one[2].remove()
        taken.append(best[3])


def _write(axes, point, text, color, where):
    x, y, across, along = where
    far = max(abs(x), abs(y)) > 6
    label = axes.annotate(
        text,
        point,
        (x, y),
        textcoords="offset points",
        ha=across,
        va=along,
        fontsize=8,
        color=color,
        arrowprops={"arrowstyle": "-", "lw": 0.5, "color": GREY} if far else None,
    )
    # Else the layout would make room for it and move the points.
    label.set_in_layout(False)
    return label


def _around(axes, point, size=4):
    x, y = axes.transData.transform(point)
    return Bbox.from_extents(x - size, y - size, x + size, y + size)


def _covered(box, taken, axes):
    """The area of a box on top of others, or outside of the axes."""
    inside = _shared(box, axes.get_window_extent())
    return sum(_shared(box, other) for other in taken) + round(box.width * box.height - inside)


def _shared(one, other):
    both = Bbox.intersection(one, other)
    return 0 if both is None else both.width * both.height
