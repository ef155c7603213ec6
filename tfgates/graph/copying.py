"""Copies of models: layers made anew from their configurations, with or without their weights."""

import keras

from tfgates.gated import Gated
from tfgates.graph.nodes import arguments, graph_of, listed
from tfgates.graph.rebuilding import rebuilt


def copied(model, configure=lambda layer, config: config, *, seeds=None, fresh=False, dtypes=None):
    """Returns a model of new layers, which shares no weight with the old one.

    Args:
        model: functional model, with or without `Gated` layers.
        configure: function of a layer and its configuration that returns that of the new layer.
        seeds: iterator of seeds for the noise of its gates, in the order of `gates`; None keeps
            those they have.
        fresh: keep the weights that the new layers begin with, instead of those of the old ones.
        dtypes: of its inputs; None: those of the model.

    Returns:
        A model of the same kind and name, whose noise has not been drawn from.
    """
    made: dict[int, keras.layers.Layer] = {}

    def renewed(layer):
        if id(layer) not in made:
            config = configure(layer, layer.get_config())
            made[id(layer)] = type(layer).from_config(config)
        return made[id(layer)]

    def gated(layer, inputs):
        seed = layer.noise.seed if seeds is None else next(seeds)
        of_layers = graph_of(layer.gate) is None
        gate = renewed(layer.gate) if of_layers else copied(layer.gate, configure, fresh=fresh)
        arms = [
            arm and copied(arm, configure, seeds=seeds, fresh=fresh, dtypes=inputs)
            for arm in (layer.then, layer.otherwise)
        ]
        return Gated(arms[0], gate, arms[1], layer.keep_one, seed, name=layer.name)

    def replace(node, value):
        layer = node.operation
        if not isinstance(layer, keras.layers.Layer) or graph_of(layer) is not None:
            return None
        args, kwargs = arguments(node, value)
        inputs = [value[id(tensor)].dtype for tensor in node.input_tensors]
        new = gated(layer, inputs) if isinstance(layer, Gated) else renewed(layer)
        outputs = new(*args, **kwargs)
        if not fresh:
            pairs = [(layer, new)]
            if isinstance(layer, Gated):
                pairs = [(layer.gate, new.gate)] if graph_of(layer.gate) is None else []
            for old, copy in pairs:
                copy.set_weights(old.get_weights())
        return listed(outputs)

    return rebuilt(model, replace, dtypes=dtypes)


def named_layers(model):
    """Returns the layers of a functional model by name, those inside of `Gated` layers too.

    Args:
        model: functional model; the layers of a model inside count, that model does not.
    """
    found: dict[str, keras.layers.Layer] = {}
    for layer in model.layers:
        inner = graph_of(layer)
        if isinstance(layer, Gated):
            for part in (layer.then, layer.otherwise, layer.gate):
                graph = None if part is None else graph_of(part)
                found |= named_layers(graph) if graph is not None else {}
            if graph_of(layer.gate) is None:
                found[layer.gate.name] = layer.gate
        elif inner is not None:
            found |= named_layers(inner)
        else:
            found[layer.name] = layer
    return found
