"""One page of HTML that needs no other file: sections of text, pictures and tables."""

import base64
import dataclasses
import pathlib
from typing import Any

import jinja2
import markupsafe

import tfgates
from tfgates.base.files import replacing
from tfgates.report.style import Picture, as_svg, save_png


@dataclasses.dataclass(frozen=True)
class Table:
    """A table whose first column names the rows.

    Attributes:
        caption: what it shows.
        headers: of the columns.
        groups: by a name above them, rows: lists of texts; "" is no name.
        texts: number of leading columns that hold words; the others hold numbers.
        folded: whether the reader has to open it.
    """

    caption: str
    headers: list[str]
    groups: dict[str, list[list[str]]]
    texts: int = 1
    folded: bool = False


@dataclasses.dataclass(frozen=True)
class Card:
    """A photograph.

    Attributes:
        png: its bytes.
        alternative: what it shows, for who cannot see it.
        lines: texts below it.
    """

    png: bytes
    alternative: str
    lines: list[str]


@dataclasses.dataclass(frozen=True)
class Cards:
    """Photographs in a row under a heading."""

    title: str
    cards: list[Card]


@dataclasses.dataclass(frozen=True)
class Missing:
    """Why something is not shown; the command that would make it, or nothing."""

    text: str
    command: str = ""


@dataclasses.dataclass(frozen=True)
class Code:
    """A command, or a file."""

    caption: str
    text: str
    folded: bool = False


@dataclasses.dataclass(frozen=True)
class Section:
    """A section: its id, its title, and its parts: texts and the classes above."""

    name: str
    title: str
    parts: list[Any]


@dataclasses.dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: of the window.
        about: what was trained: names and values.
        figures: the headline: a number, what it is, and a remark.
        sections: list of `Section`.
    """

    title: str
    about: list[tuple[str, str]]
    figures: list[tuple[str, str, str]]
    sections: list[Section]


def as_html(page):
    """Returns a `Page` as HTML; texts are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg"] = _svg
    environment.filters["uri"] = _uri
    environment.filters["kind"] = lambda part: type(part).__name__
    template = environment.get_template("page.html")
    return template.render(page=page, version=tfgates.__version__)


def write(page, path):
    """Writes a `Page`, and its pictures and photographs as PNG files beside it.

    Args:
        page: `Page`.
        path: of the HTML file; the folder of the PNG files has its name without the ending.
    """
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    for part in (part for section in page.sections for part in section.parts):
        if isinstance(part, Picture):
            save_png(part.figure, folder / f"{part.name}.png")
        elif isinstance(part, Cards):
            name = "_".join(part.title.lower().split())
            for index, card in enumerate(part.cards, 1):
                (folder / f"{name}_{index}.png").write_bytes(card.png)
    with replacing(path) as file:
        file.write(as_html(page))


def _svg(picture):
    return markupsafe.Markup(as_svg(picture.figure, picture.name))


def _uri(png):
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
