"""Puts gates before the branches of any functional model (sections 2.1, S1.3, S2.3)."""

import fnmatch

import keras
import numpy as np

from tfgates.gated import Gated, joined
from tfgates.gates import GATES
from tfgates.graph.branches import branches, flat
from tfgates.graph.filters import inner_filters
from tfgates.graph.logits import without_softmax
from tfgates.graph.nodes import arguments, inputs_like, listed, nodes, only, repeat, rerun
from tfgates.network import Network

# What a gate decides on: a branch; groups of the channels that it makes; or of the channels before
# its last layer with a kernel, which no shortcut leads around (section S2.3).
GATED = ("branches", "output_filters", "inner_filters")


def gate(model, gate="dependent", where=None, *, gated="branches", groups=4, seed=None, **options):
    """Gates the branches of a functional model.

    Args:
        model: functional Keras model with one input and one output: images -> logits [B, K]. A
            softmax at its end is left out. The result shares its other layers.
        gate: "dependent", "independent", or a function of a `Branch` that returns a gate, see
            `tfgates.gates`; where that is None, the branch gets none.
        where: names of branches, or patterns of them as "conv4_*"; or a function of a `Branch`,
            whether it gets a gate. None: all branches.
        gated: what a gate decides on, one of `GATED`.
        groups: of gated filters, the number of their groups in a branch, each with a decision of
            its own; at least 2, and divides the filters.
        seed: integer that seeds the noise of all gates; None takes one from Python's generator.
        **options: of the gates, as units=16 or odds=(0.1, 2.0), see `DependentGate` and
            `IndependentGate`.

    Returns:
        `Network`, images -> {"logits": [B, K], "decisions": [B, G]}. Its gates have the names of
        the branches. With all gates open it equals the model.

    Raises:
        ValueError: the model cannot be gated, or an argument is out of its range.
    """
    plain = without_softmax(flat(model))
    found = branches(plain)
    if not found:
        reasons = [f"{name}: {why}" for name, why in found.refused.items()]
        raise ValueError(
            f"{model.name} has no branch to gate: "
            f"{'; '.join(reasons[:5]) or 'it has no sum and no concatenation'}. A gate closes a "
            "path that another one leads around."
        )
    if gated not in GATED:
        raise ValueError(f"`gated` is one of {', '.join(GATED)}. Received: {gated!r}.")
    if gated != "branches" and groups < 2:
        raise ValueError(
            f"`groups` is at least 2. Received: {groups}. Pass gated='branches' for one decision."
        )
    groups = 1 if gated == "branches" else groups
    make = _maker(gate, groups, options)
    chosen = [(branch, make(branch)) for branch in _chosen(found, where)]
    chosen = [(branch, made) for branch, made in chosen if made is not None]
    if not chosen:
        raise ValueError(
            "`gate` and `where` leave no branch a gate. Pass names of branches(model)."
        )
    return _insert(plain, chosen, gated, noise_streams(seed, len(chosen)))


def noise_streams(seed, count):
    """Returns seeds of independent noise, one for each gate, the same for the same seed."""
    if seed is None:
        return [None] * count
    return [int(state) for state in np.random.SeedSequence(seed).generate_state(count) >> 1]


def _maker(gate, groups, options):
    """Returns a function of a `Branch` that returns its gate."""
    if callable(gate):
        if options:
            raise ValueError(
                f"A function makes its gates itself. Received: gate={gate} with {options}."
            )
        return gate
    if gate not in GATES:
        raise ValueError(
            f"`gate` is one of {', '.join(GATES)}, or a function of a branch. Received: {gate!r}."
        )
    return lambda branch: GATES[gate](groups=groups, name=f"{branch.name}_gate", **options)


def _chosen(found, where):
    """Returns the branches that get a gate."""
    if where is None:
        return list(found)
    if callable(where):
        return [branch for branch in found if where(branch)]
    patterns = [where] if isinstance(where, str) else list(where)
    names = [branch.name for branch in found]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise ValueError(
                f"`where` has names of branches, or patterns of them. Received: {pattern!r}, which "
                f"fits none of {', '.join(names[:8])}{', ...' * (len(names) > 8)}."
            )
    return [b for b in found if any(fnmatch.fnmatchcase(b.name, pattern) for pattern in patterns)]


def _insert(model, chosen, gated, seeds):
    """Returns the network in which `Gated` layers stand in the place of branches."""
    of_node = {id(node): index for index, (branch, _) in enumerate(chosen) for node in branch.nodes}
    decisions = {}

    def replace(node, value):
        index = of_node.get(id(node))
        if index is None:
            return None
        branch, made = chosen[index]
        if not any(tensor is branch.end for tensor in node.outputs):
            return []
        features, decisions[index] = _gated_branch(
            branch, made, gated, seeds[index], value[id(branch.start)], nodes(model)
        )
        return [features if tensor is branch.end else None for tensor in node.outputs]

    inputs = inputs_like(model)
    value = rerun(model, inputs, replace)
    columns = joined([decisions[index] for index in sorted(decisions)], "decisions")
    outputs = {"logits": value[id(model.outputs[0])], "decisions": columns}
    return Network(only(inputs), outputs, name=model.name)


def _gated_branch(branch, gate, gated, seed, start, order):
    """Calls a `Gated` layer on what enters a branch; returns features and decisions."""
    end, calls, behind = branch.end, branch.nodes, []
    if gated == "inner_filters":
        end, calls, behind = inner_filters(branch)
    then = _separate(branch, end, calls, {id(n.operation) for n in order if n not in calls})
    keep_one = gated == "inner_filters"
    layer = Gated(then, gate, keep_one=keep_one, seed=seed, name=branch.name)
    features, opened = layer(start)
    value = repeat(behind, {id(branch.start): start, id(end): features})
    return value[id(branch.end)], opened


def _separate(branch, end, calls, elsewhere):
    """Returns a model of a branch, whose layers are not called outside of it.

    Those that are have no weights, and get a copy. Keras would load such a layer as one object,
    with its calls in another order.

    Args:
        branch: of which it is.
        end: tensor that it makes.
        calls: nodes of the model.
        elsewhere: ids of the operations that are called outside of it.
    """
    copies: dict[int, keras.layers.Layer] = {}

    def replace(node, value):
        layer = node.operation
        if not isinstance(layer, keras.layers.Layer) or id(layer) not in elsewhere:
            return None
        if id(layer) not in copies:
            config = {**layer.get_config(), "name": f"{branch.name}_{layer.name}"}
            copies[id(layer)] = type(layer).from_config(config)
        args, kwargs = arguments(node, value)
        return listed(copies[id(layer)](*args, **kwargs))

    start = keras.Input(batch_shape=branch.start.shape, dtype=branch.start.dtype)
    value = repeat(calls, {id(branch.start): start}, replace)
    return keras.Model(start, value[id(end)], name=f"{branch.name}_then")
