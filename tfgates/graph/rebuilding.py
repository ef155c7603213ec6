"""A functional model again, with other calls in it or on inputs of other shapes."""

import keras

from tfgates.gated import Gated
from tfgates.graph.distinct import distinct
from tfgates.graph.nodes import inputs_like, listed, only, rerun
from tfgates.network import Network


def rebuilt(model, replace=lambda node, value: None, shapes=None, dtypes=None):
    """Returns a model of the same inputs and outputs with some calls replaced, see `rerun`.

    Models inside of it are inlined; of layers of equal names all but the first are copied.

    Args:
        model: functional model, or one inside of a `Gated` layer.
        replace: as of `rerun`; decisions that it makes None go.
        shapes: other shapes of its inputs, that of the batch included; None: the same.
        dtypes: other dtypes of its inputs; None: the same.
    """
    inputs = inputs_like(model, shapes, dtypes)
    value = rerun(model, inputs, replace)
    outputs = keras.tree.map_structure(lambda tensor: value[id(tensor)], model.output)
    named = outputs if isinstance(outputs, dict) else dict(enumerate(listed(outputs)))
    named = {name: tensor for name, tensor in named.items() if tensor is not None}
    kind = Network if "decisions" in named else keras.Model
    made = named if isinstance(outputs, dict) else list(named.values())
    made = made if len(named) > 1 else next(iter(named.values()))
    return kind(only(inputs), distinct(inputs, made), name=model.name)


def of_shape(model, *shapes):
    """Returns a model of the same calls on inputs of other shapes, that of the batch included.

    A model of images of any size becomes one of a fixed size, in which every shape is known. One
    that has these shapes is returned itself.
    """
    if [tensor.shape for tensor in model.inputs] == [tuple(shape) for shape in shapes]:
        return model

    def replace(node, value):
        layer = node.operation
        if not isinstance(layer, Gated):
            return None
        inside = [value[id(tensor)].shape for tensor in node.input_tensors]
        otherwise = layer.otherwise and of_shape(layer.otherwise, *inside)
        return again(layer, node, value, of_shape(layer.then, *inside), otherwise)

    return rebuilt(model, replace, shapes)


def again(layer, node, value, then, otherwise=None):
    """Calls a `Gated` layer anew with other models inside; see `rerun`."""
    inputs = [value[id(tensor)] for tensor in node.input_tensors]
    return layer.with_arms(then, otherwise or layer.otherwise)(only(inputs))
