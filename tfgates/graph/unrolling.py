"""A network with exits as one graph that shows what each of them would answer."""

from typing import Any

import keras
from keras import ops

from tfgates.gated import joined
from tfgates.graph.nodes import hand_down, inputs_like, only, rerun
from tfgates.graph.outputs import features_and_decisions
from tfgates.network import Network, exits_of

# The name of the output with the logits of each exit.
EXITS = "exits"


class Decision(keras.layers.Layer):
    """The decision of a `Gated` layer alone, [B, 1]: 1 where it would run `then`.

    Args:
        gated: the layer, whose gate and noise it shares.
    """

    def __init__(self, gated, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.gated = gated
        hand_down(self, "policy")

    def call(self, inputs, policy=None, training=False):
        return self.gated.opened(inputs, policy, training)

    def compute_output_spec(self, inputs, policy=None, training=False):
        return keras.KerasTensor((inputs.shape[0], 1), self.gated.variable_dtype)


def unrolled(network):
    """Returns a network with exits that answers at each of them, too, for every image.

    Where nothing is skipped both arms of an exit are computed all the same, so that this costs
    nothing more.

    Args:
        network: `Network` with exits; the result shares its layers, and is not to be saved.

    Returns:
        `Network`, images -> "logits" and "decisions" of the network, and "exits" [B, E + 1, K]: the
        logits of each exit and, last, of the end.
    """
    places = {id(layer): place for place, layer in enumerate(exits_of(network))}
    answers: dict[int, Any] = {}

    def replace(node, value):
        layer = node.operation
        if id(layer) not in places:
            return None
        x = value[id(node.input_tensors[0])]
        z = Decision(layer, name=f"{layer.name}_decision")(x)
        ran = rerun(layer.then, [x], replace)
        end, inside = (
            tensor if tensor is None else ran[id(tensor)]
            for tensor in features_and_decisions(layer.then)
        )
        left = rerun(layer.otherwise, [x])[id(layer.otherwise.outputs[0])]
        place = places[id(layer)]
        answers[place] = left
        # Of the innermost exit; the end of another one is what the next has blended.
        answers.setdefault(len(places), end)
        decisions = [z] if inside is None else [z, ops.stop_gradient(z) * inside]
        return [end * z + left * (1 - z), joined(decisions, f"{layer.name}_opened")]

    inputs = inputs_like(network)
    value = rerun(network, inputs, replace)
    logits, decisions = (value[id(tensor)] for tensor in features_and_decisions(network))
    outputs = {"logits": logits, "decisions": decisions}
    outputs[EXITS] = ops.stack([answers[place] for place in range(len(places) + 1)], axis=1)
    return Network(only(inputs), outputs, name=network.name)
