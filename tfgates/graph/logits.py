"""What a model ends in: logits, or a softmax of them."""

import keras
from keras import layers as L

from tfgates.graph.macs import DENSE, TRANSPOSED
from tfgates.graph.nodes import keras_kind, producer, rerun

# Layers whose activation is the last that they do; that of a recurrent one is inside.
ACTIVATED = (L.Activation, L.EinsumDense, L.SeparableConv1D, L.SeparableConv2D, *DENSE, *TRANSPOSED)


def without_softmax(model):
    """Returns a model that ends in logits: without a softmax in its last layer, or as that.

    Args:
        model: functional model of one output; the result shares its layers, but a last one with a
            softmax in it, whose weights are copied.

    Raises:
        ValueError: the softmax is in a layer of a class of one's own, or leaves out some classes.
    """
    last = producer(model.outputs[0])
    layer, inputs = last.operation, last.input_tensors
    if not _is_softmax(last_function(layer), len(model.outputs[0].shape)):
        return model
    if not keras_kind(layer) or len(inputs) != 1:
        raise ValueError(
            f"A network ends in logits, or in a softmax of Keras of all of them. Received: "
            f"{model.name}, which ends in {type(layer).__name__} {layer.name!r}. Let it return "
            "what the softmax reads."
        )
    if keras_kind(layer) in ("Softmax", "Activation"):
        return keras.Model(model.input, inputs[0], name=model.name)

    def replace(node, value):
        if node is not last:
            return None
        linear = type(layer).from_config({**layer.get_config(), "activation": "linear"})
        outputs = linear(value[id(inputs[0])])
        linear.set_weights(layer.get_weights())
        return [outputs]

    value = rerun(model, model.inputs, replace)
    return keras.Model(model.input, value[id(model.outputs[0])], name=model.name)


def last_function(operation):
    """Returns what an operation does last: its activation, or the operation itself."""
    return operation.activation if isinstance(operation, ACTIVATED) else operation


def _is_softmax(function, rank):
    """Whether a function is a softmax over the last of so many axes."""
    if keras_kind(function) == "Softmax":
        return function.axis in (-1, rank - 1)
    return function in (keras.activations.softmax, keras.ops.softmax)
