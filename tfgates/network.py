"""A network: a functional model with gates in it, and what can be read of one."""

import keras
from keras import ops

from tfgates.gated import Gated
from tfgates.graph.nodes import graph_of, hand_down, layers_inside, producer, require_graph
from tfgates.graph.outputs import decisions_of, features_and_decisions, logits_of
from tfgates.policies import Expected, Threshold, WithExits


@keras.saving.register_keras_serializable(package="tfgates")
class Network(keras.Model):
    """A functional model with `Gated` layers in it: images -> logits and decisions.

    It differs from any other functional model in one thing: a model that is built around it hands
    `policy` to it. A plain one would drop the policy without a word.

    Call arguments:
        images: [B, ...].
        policy: see `Gated`.
        training: see `Gated`.

    Returns, when called: dict of "logits", and of "decisions" [B, G], 1 where a branch runs, in the
    order of `gates`.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        hand_down(self, "policy")


def take_policy(model):
    """Lets every model inside of a model hand the policy down, however deep its gates lie.

    Args:
        model: any Keras model.

    Returns:
        The model.
    """
    for layer in layers_inside(model):
        if isinstance(layer, keras.Model):
            hand_down(layer, "policy")
    return model


def logits_and_decisions(outputs):
    """Returns the logits and the decisions [B, G] of what a network returned; G may be 0."""
    if isinstance(outputs, dict) and "decisions" in outputs:
        return outputs["logits"], outputs["decisions"]
    logits = logits_of(outputs)
    return logits, ops.zeros((ops.shape(logits)[0], 0), "float32")


def gates(model):
    """Returns the `Gated` layers of a model, those inside of others too.

    Args:
        model: functional model; one without gates has none.

    Returns:
        List in the order of the columns of its decisions, of which each layer has `groups`.
    """

    def behind(tensor):
        node = producer(tensor)
        if isinstance(node.operation, Gated):
            return [node.operation, *gates(node.operation.then)]
        inner = graph_of(node.operation)
        if inner is not None:
            return behind(inner.outputs[[id(one) for one in node.outputs].index(id(tensor))])
        return [layer for part in node.input_tensors for layer in behind(part)]

    decisions = decisions_of(model)
    return [] if decisions is None else behind(decisions)


def columns(model):
    """Returns the columns of its decisions by name of a `Gated` layer, slices.

    Raises:
        ValueError: two gates have the same name.
    """
    found: dict[str, slice] = {}
    first = 0
    for layer in gates(model):
        if layer.name in found:
            raise ValueError(
                f"Gates are known by their names. Received: two with the name {layer.name!r}. Pass "
                "another `name` to one of the `Gated` layers."
            )
        found[layer.name] = slice(first, first + layer.groups)
        first += layer.groups
    return found


def decision_names(model):
    """Returns a name for each column of the decisions: the gate's; of groups NAME/0, NAME/1, ..."""
    return [
        f"{layer.name}/{group}" if layer.groups > 1 else layer.name
        for layer in gates(model)
        for group in range(layer.groups)
    ]


def parents(model):
    """Returns for each column of the decisions that of the gate around it; None where none is."""
    found: list[int | None] = []
    around: dict[str, int] = {}
    for layer in gates(model):
        around |= {inner.name: len(found) for inner in gates(layer.then)}
        found += [around.get(layer.name)] * layer.groups
    return found


def exits_of(model):
    """Returns the exits of a model, first to last: `Gated` layers both arms of which make logits.

    See `tfgates.early_exit`; of a model without any there are none.
    """
    found, part = [], model
    while part is not None:
        layer = producer(features_and_decisions(part)[0]).operation
        part = None
        if isinstance(layer, Gated) and layer.otherwise is not None:
            found.append(layer)
            part = layer.then
    return found


def with_exits(model, layers, exits):
    """Returns a policy of two: one for the exits of a model, and one for its other gates."""
    return WithExits(tuple(layer.name for layer in exits_of(model)), layers, exits)


def thresholds(model, tau=0.5, exit_tau=0.5):
    """Returns the policy of two thresholds: layers run above tau, images go on above exit_tau."""
    if not exits_of(model):
        return Threshold(tau)
    return with_exits(model, Threshold(tau), Threshold(exit_tau))


def num_gates(model):
    """Returns the number of decisions on an image, G."""
    decisions = decisions_of(model)
    return 0 if decisions is None else decisions.shape[-1]


def has_learned_gates(model):
    """Whether there are gates, and other ones than those of stochastic depth."""
    return any(getattr(layer.gate, "learned", True) for layer in gates(model))


def usual_policy(model):
    """Returns `Expected()` for stochastic depth, whose gates learn nothing, else `Threshold()`."""
    return Expected() if gates(model) and not has_learned_gates(model) else Threshold()


def num_classes(model):
    """Returns the number of logits of an image, K."""
    return features_and_decisions(model)[0].shape[-1]


def require_functional(network):
    """Refuses a network whose decisions cannot be seen."""
    logits_of(require_graph(network).output)
    if not num_gates(network) and any(isinstance(one, Gated) for one in layers_inside(network)):
        raise ValueError(
            f"{network.name} has gates and does not return their decisions. Build it with outputs "
            '{"logits": ..., "decisions": ...}.'
        )
