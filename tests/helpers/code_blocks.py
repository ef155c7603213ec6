"""The fenced blocks of the Markdown pages, and their links."""

import dataclasses

from examples import ROOT
from markdown_it import MarkdownIt

PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "serving/README.md",
    "datasets/README.md",
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md")),
]


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: path of its page in the repository.
        line: of its first line of text, from 1.
        language: what stands behind the fence.
        text: its lines.
    """

    page: str
    line: int
    language: str
    text: str

    def __str__(self):
        return f"{self.page}:{self.line}"


def blocks_of(page):
    """Returns the blocks of a page in their order; those within lists and quotes are among them."""
    tokens = MarkdownIt().parse((ROOT / page).read_text())
    return [
        Block(page, token.map[0] + 2, token.info.strip(), token.content)
        for token in tokens
        if token.type == "fence"
    ]


def links_of(page):
    """Returns where the links and pictures of a page lead to, without what follows #."""
    tokens = MarkdownIt().parse((ROOT / page).read_text())
    inner = [child.attrs for token in tokens for child in token.children or []]
    return [
        str(attributes[name]).partition("#")[0]
        for attributes in inner
        for name in ("href", "src")
        if name in attributes
    ]


def numbered(blocks):
    """Returns a script of blocks in which each line has the number that it has in the page."""
    lines: list[str] = []
    for block in blocks:
        lines += [""] * (block.line - 1 - len(lines)) + block.text.splitlines()
    return "\n".join(lines) + "\n"
