"""A network with a short path inside: adaptive depth without gates (ADN, Kang and Lee, 2024).

The second half of the branches of each stage is left out of the short path, always the same ones,
for every image. Both paths share all weights but those of batch norm, of which the short path has a
second set. Trained together, the short one on the answers of the full one, each is a plain network.
"""

import keras

from tfgates.graph.branches import branches, flat
from tfgates.graph.logits import without_softmax
from tfgates.graph.nodes import graph_of, inputs_like, listed, only, rerun
from tfgates.graph.outputs import features_and_decisions

# The name of the output of the short path, and the ending of the names of its batch norms.
SHORT = "short"
PATHS = ("full", SHORT)


def nest(model):
    """Puts a short path into a functional model.

    Args:
        model: functional Keras model with one input and one output, images -> logits [B, K], whose
            branches end in sums. The result shares its other layers.

    Returns:
        `keras.Model`, images -> {"logits": [B, K], "short": [B, K]}. Its short path begins with the
        moments and weights of the batch norms of the full one.

    Raises:
        ValueError: the model has no branch that may be skipped.
    """
    plain = without_softmax(flat(model))
    skipped = skippable(branches(plain))
    if not skipped:
        raise ValueError(
            f"{model.name} has no branch to skip: a stage has at least two, and the second half of "
            "them identities as shortcuts. Choose a deeper network."
        )
    inside = {id(node) for branch in skipped for node in branch.nodes}
    ends = {id(branch.end) for branch in skipped}

    def replace(node, value):
        if id(node) in inside:
            return []
        around = [tensor for tensor in node.input_tensors if id(tensor) not in ends]
        if len(around) < len(node.input_tensors):
            return [value[id(around[0])]]
        if isinstance(node.operation, keras.layers.BatchNormalization):
            return listed(_second(node.operation, value[id(node.input_tensors[0])]))
        return None

    inputs = inputs_like(plain)
    full = rerun(plain, inputs)[id(plain.outputs[0])]
    short = rerun(plain, inputs, replace)[id(plain.outputs[0])]
    return keras.Model(only(inputs), {"logits": full, SHORT: short}, name=model.name)


def skippable(found):
    """Returns the branches that the short path leaves out.

    A stage begins at a branch whose shortcut is no identity, and at the first one.

    Args:
        found: of `branches`.
    """
    stages: list[list] = [[]]
    for branch in found:
        if not branch.identity:
            stages.append([])
        stages[-1].append(branch)
    halves = [stage[len(stage) - len(stage) // 2 :] for stage in stages]
    return [
        branch
        for half in halves
        for branch in half
        # Not one that is concatenated.
        if branch.identity and branch.start.shape == branch.end.shape
    ]


def is_nested(model):
    """Whether a model has a short path beside its full one."""
    output = graph_of(model).output
    return isinstance(output, dict) and SHORT in output


def path(model, name):
    """Returns one path of a nested model as a plain one, images -> logits.

    Args:
        model: of `nest`; the result shares its layers.
        name: one of `PATHS`.
    """
    end = model.output[SHORT] if name == SHORT else features_and_decisions(model)[0]
    inputs = inputs_like(model)
    value = rerun(keras.Model(model.input, end), inputs)
    return keras.Model(only(inputs), value[id(end)], name=model.name)


def _second(norm, features):
    """Calls a batch norm with weights and moments of its own."""
    made = type(norm).from_config({**norm.get_config(), "name": f"{norm.name}_{SHORT}"})
    features = made(features)
    made.set_weights(norm.get_weights())
    return features
