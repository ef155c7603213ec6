"""What a network returns: logits, or features inside of a gate, and decisions."""

from tfgates.graph.nodes import listed, require_graph


def features_and_decisions(model):
    """Returns both symbolic outputs of a functional model; without gates the second is None."""
    output = require_graph(model).output
    return logits_of(output) if isinstance(output, dict) else listed(output)[0], decisions_of(model)


def decisions_of(model):
    """Returns the symbolic decisions of a functional model; None where it returns none."""
    output = require_graph(model).output
    if isinstance(output, dict):
        return output.get("decisions")
    return next(iter(listed(output)[1:]), None)


def logits_of(outputs):
    """Returns the logits of what a network returns, by whatever name it calls its one output.

    Raises:
        ValueError: several outputs, of which none is called logits.
    """
    if not isinstance(outputs, dict):
        outputs = dict(enumerate(listed(outputs)))
    name = "logits" if "logits" in outputs else next(iter(outputs))
    if name != "logits" and len(outputs) > 1:
        raise ValueError(
            f'Of several outputs of a network one is called "logits". Received: {list(outputs)}. '
            "Rename it, or leave the others out."
        )
    return outputs[name]
