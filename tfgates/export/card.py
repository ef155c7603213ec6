"""What an exported model is, for programs (tfgates.json) and for people (model_card.md)."""

import dataclasses
import json

import tfgates
from tfgates.export.decode import MAX_PIXELS


def describe(model, network, trained, measured):
    """Describes an export, as a dict that is written as JSON.

    Args:
        model: `ServedModel`.
        network: the `GatedNetwork` that it was made of.
        trained: what it was trained on and with: dataset, flags.
        measured: of the run at this threshold: split, top1_error and top5_error in percent, rate,
            macs, and whether it was measured before dependent gates were fixed; None where it was
            not evaluated.
    """
    return {
        "tfgates": tfgates.__version__,
        "network": network.name,
        "parameters": network.count_params(),
        "gates": network.num_gates,
        "policy": "threshold",
        "tau": model.tau,
        "fixed_gates": {str(gate): decision for gate, decision in sorted(model.fixed.items())},
        "skip": model.skip,
        "weights": model.weights,
        "decode": model.decode,
        "top_k": model.top_k,
        "preprocessing": dataclasses.asdict(model.preprocessing),
        "max_pixels": MAX_PIXELS,
        "labels": list(model.labels),
        "macs": {
            "full": model.costs.ungated,
            "always": model.always,
            "branches": list(model.left.branches),
        },
        "measured": measured,
        "trained": trained,
    }


def as_json(about):
    """Writes the description of `describe` as JSON, bytes."""
    return (json.dumps(about, indent=2) + "\n").encode()


MARKDOWN = """# {network}, {num_classes} classes

An image classifier that decides, image by image, which of its blocks to run; exported by
tfgates {tfgates}. The same as data: `tfgates.json`.

| | |
|---|---|
| trained on | {dataset} |
| parameters | {parameters:,} |
| gates | {gates}, of which {opened} are open and {closed} closed for good |
| policy | a block runs where its probability is greater than tau = {tau:g} |
| multiply-adds | {least:,.2f} M at least, {full:,.2f} M with every block |
{measured}
| input | {size} x {size} pixels, resize: {resize} |
| graph | skip: {skip}, weights: {weights}, decode: {decode} |

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

- Images: JPEG, PNG, BMP or WebP, not animated, of at most {megapixels} million pixels;
  EXIF orientation and transparency are ignored, as in training.
- tau of a request moves the {live} gates that were not fixed at export.
- On images of another kind than those it was trained on, its accuracy is unknown.
- At the threshold a decision may differ between batch sizes, which round differently by 1e-7.

## Labels

{labels}
"""


def as_markdown(about):
    """Writes the description of `describe` as Markdown, bytes."""
    fixed, macs = about["fixed_gates"], about["macs"]
    opened = sum(fixed.values())
    values = {
        **about,
        **about["preprocessing"],
        "num_classes": len(about["labels"]),
        "dataset": about["trained"]["dataset"],
        "opened": opened,
        "closed": len(fixed) - opened,
        "live": about["gates"] - len(fixed),
        "least": macs["always"] / 1e6,
        "full": macs["full"] / 1e6,
        "measured": _measured(about["measured"]),
        "megapixels": about["max_pixels"] // 10**6,
        "labels": ", ".join(about["labels"]),
    }
    return MARKDOWN.format(**values).encode()


def _measured(measured):
    if measured is None:
        return "| error, expected multiply-adds | not measured at this tau |"
    before = ", before gates were fixed" if measured["before_fixing"] else ""
    return (
        f"| top-1, top-5 error | {measured['top1_error']:.2f} %, {measured['top5_error']:.2f} % "
        f"on the {measured['split']} images{before} |\n"
        f"| rate | {measured['rate']:.3f} of the gates open{before} |\n"
        f"| expected multiply-adds | {measured['macs'] / 1e6:,.2f} M, "
        f"{100 * measured['macs_share']:.1f} % of every block{before} |"
    )
