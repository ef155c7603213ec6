"""What an exported model is, as data: tfgates.json, of which its model card is made."""

import dataclasses
import json

import tfgates
from tfgates.export.decode import MAX_PIXELS
from tfgates.graph.count import count_parameters


def describe(model, network, trained, measured):
    """Describes an export, as a dict that is written as JSON.

    Args:
        model: `ServedModel`.
        network: that it was made of.
        trained: what it was trained on and with: dataset, flags; or None.
        measured: of the run at this threshold: split, top1_error and top5_error in percent, rate,
            macs and macs_share where closed branches are skipped, and whether it was measured
            before dependent gates were fixed; None where it was not evaluated.
    """
    return {
        "tfgates": tfgates.__version__,
        "network": network.name,
        "parameters": count_parameters(network),
        "gates": model.num_gates,
        "policy": "threshold",
        "tau": model.tau,
        **({"exits": model.exits, "exit_tau": model.exit_tau} if model.exits else {}),
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
        "measured": measured and {**measured, **_macs(model, measured)},
        "trained": trained,
    }


def _macs(model, measured):
    """Returns the multiply-adds of an image as the model runs it."""
    if any(model.left.branches):
        return {}
    return {"macs": float(model.always), "macs_share": model.always / model.costs.ungated}


def as_json(about):
    """Writes the description of `describe` as JSON, bytes."""
    return (json.dumps(about, indent=2) + "\n").encode()
