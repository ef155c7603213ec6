"""The model card of an export, and what that of a run has in common with it: Markdown."""

import re

IDEA = "An image classifier that decides, image by image, which of its branches to run"
LIMITS = """- On images of another kind than those it was trained on, its accuracy is unknown.
- EXIF orientation and transparency of an image are ignored, as in training.
- At the threshold a decision may differ between batch sizes, which round differently by 1e-7."""

EXPORT = """# {network}, {num_classes} classes

{idea}; exported by tfgates {tfgates}. The same as data: `tfgates.json`.

{facts}

## Signatures

N, the number of images, comes first in every input and output.

| signature | inputs | outputs |
|---|---|---|
| `serving_default` | `image_bytes` string [N] | `classes`, `scores`, `class_ids` [N, {top_k}], \
`gates` [N, {gates}], `macs`, `macs_full`, `status` [N] |
| `predict_tau` | and `tau` float [N], in (0, 1) | the same |
| `predict_images` | `images` float [N, {size}, {size}, 3], raw 0-255 | the same |
| `classify` | `inputs` string [N]: `tf.Example` with `image_bytes` | `classes`, `scores` |

## Limits

- Images: JPEG, PNG, BMP or WebP, not animated, of at most {megapixels} million pixels.
- tau of a request moves the {live} gates that were not fixed at export.
{limits}

## Labels

{labels}
"""


def of_export(about):
    """Writes the card of an export, text, from the description of `tfgates.export.card`."""
    fixed, macs = about["fixed_gates"], about["macs"]
    opened = sum(fixed.values())
    least, full = macs["always"] / 1e6, macs["full"] / 1e6
    pairs = [
        ("trained on", escaped(about["trained"]["dataset"])),
        ("parameters", f"{about['parameters']:,}"),
        (
            "gates",
            f"{about['gates']}, of which {opened} are open and {len(fixed) - opened} closed for "
            "good",
        ),
        ("policy", f"a branch runs where its probability is greater than tau = {about['tau']:g}"),
        ("multiply-adds", f"{least:,.2f} M at least, {full:,.2f} M with every branch"),
        *_measured(about["measured"]),
        *fitted(about["preprocessing"]),
        (
            "graph",
            f"skip: {about['skip']}, weights: {about['weights']}, decode: {about['decode']}",
        ),
    ]
    return EXPORT.format(
        **{name: about[name] for name in ("network", "tfgates", "top_k", "gates")},
        size=about["preprocessing"]["size"],
        idea=IDEA,
        num_classes=len(about["labels"]),
        facts=facts(pairs),
        live=about["gates"] - len(fixed),
        megapixels=about["max_pixels"] // 10**6,
        limits=LIMITS,
        labels=labels(about["labels"]),
    )


def _measured(measured):
    if measured is None:
        return [("error, expected multiply-adds", "not measured at this tau")]
    before = ", before gates were fixed" if measured["before_fixing"] else ""
    errors = f"{measured['top1_error']:.2f} %, {measured['top5_error']:.2f} %"
    macs = f"{measured['macs'] / 1e6:,.2f} M, {100 * measured['macs_share']:.1f} %"
    return [
        ("top-1, top-5 error", f"{errors} on the {measured['split']} images{before}"),
        ("rate", f"{measured['rate']:.3f} of the gates open{before}"),
        ("expected multiply-adds", f"{macs} of every branch{before}"),
    ]


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
