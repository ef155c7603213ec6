"""The model card of an export."""

from tfgates.report import card

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
    facts = [
        ("trained on", card.escaped(about["trained"]["dataset"])),
        ("parameters", f"{about['parameters']:,}"),
        (
            "gates",
            f"{about['gates']}, of which {opened} are open and {len(fixed) - opened} closed for "
            "good",
        ),
        ("policy", f"a branch runs where its probability is greater than tau = {about['tau']:g}"),
        ("multiply-adds", f"{least:,.2f} M at least, {full:,.2f} M with every branch"),
        *_measured(about["measured"]),
        *card.fitted(about["preprocessing"]),
        (
            "graph",
            f"skip: {about['skip']}, weights: {about['weights']}, decode: {about['decode']}",
        ),
    ]
    return EXPORT.format(
        **{name: about[name] for name in ("network", "tfgates", "top_k", "gates")},
        size=about["preprocessing"]["size"],
        idea=card.IDEA,
        num_classes=len(about["labels"]),
        facts=card.facts(facts),
        live=about["gates"] - len(fixed),
        megapixels=about["max_pixels"] // 10**6,
        limits=card.LIMITS,
        labels=card.labels(about["labels"]),
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
