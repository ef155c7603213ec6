"""A functional model again, with other calls in it or on inputs of other shapes."""

import keras

from tfgates.gated import Gated, Network, features_and_decisions
from tfgates.graph.nodes import inputs_like, only, rerun


def rebuilt(model, replace=lambda node, value: None, shapes=None, dtypes=None):
    """Returns a model of the same inputs and outputs with some calls replaced, see `rerun`.

    Args:
        model: functional model, or one inside of a `Gated` layer.
        replace: as of `rerun`; decisions that it makes None go.
        shapes: other shapes of its inputs, that of the batch included; None: the same.
        dtypes: other dtypes of its inputs; None: the same.
    """
    inputs = inputs_like(model, shapes, dtypes)
    value = rerun(model, inputs, replace)
    features, decisions = (
        tensor if tensor is None else value[id(tensor)] for tensor in features_and_decisions(model)
    )
    if decisions is None:
        return keras.Model(only(inputs), features, name=model.name)
    if isinstance(model.output, dict):
        outputs = {"logits": features, "decisions": decisions}
        return Network(only(inputs), outputs, name=model.name)
    return keras.Model(only(inputs), [features, decisions], name=model.name)


def of_shape(model, *shapes):
    """Returns a model of the same calls on inputs of other shapes, that of the batch included.

    A model of images of any size becomes one of a fixed size, in which every shape is known. One
    that has these shapes is returned itself.
    """
    if [tensor.shape[1:] for tensor in model.inputs] == [tuple(shape[1:]) for shape in shapes]:
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
