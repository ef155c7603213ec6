"""What the model cards of a run and of an export have in common: Markdown for people."""

import re

IDEA = "An image classifier that decides, image by image, which of its branches to run"
LIMITS = """- On images of another kind than those it was trained on, its accuracy is unknown.
- EXIF orientation and transparency of an image are ignored, as in training.
- At the threshold a decision may differ between batch sizes, which round differently by 1e-7."""


def escaped(text):
    """Returns text of others, as the name of a class, that Markdown shows as it is."""
    text = " ".join(str(text).split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("~", "&#126;")
    # Between letters an underscore is one.
    return re.sub(r"([\\`*\[\]|]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", text)


def facts(pairs):
    """Returns a table of pairs, of name and value; what others have named is `escaped`."""
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in pairs)])


def labels(names):
    """Returns a sentence that names the classes."""
    return f"{len(names)} classes, by id from 0: {', '.join(map(escaped, names))}."


def fitted(preprocessing):
    """Returns the pairs that say how an image becomes an input; of a `Preprocessing` as a dict."""
    size, resize = preprocessing["size"], preprocessing["resize"]
    return [("input", f"{size} x {size} pixels, resize: {resize}")]
