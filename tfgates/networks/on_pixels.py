"""Any model of images as a network: on raw pixels, and ending in logits of so many classes."""

import keras
from keras import layers as L

from tfgates.gates import full_precision
from tfgates.graph.branches import flat
from tfgates.graph.copying import named_layers
from tfgates.graph.logits import without_softmax
from tfgates.graph.nodes import producer, rerun


def on_pixels(model, name, classes, input_shape, standardize, synchronized):
    """Returns a model on raw pixels that ends in logits of so many classes."""
    model = without_softmax(flat(model))
    _require_shape(model, input_shape)
    for layer in named_layers(model).values():
        if isinstance(layer, L.BatchNormalization):
            layer.synchronized = synchronized
    last = classifier_of(model)

    def replace(node, value):
        if node is last:
            return [_classifier(node.operation, classes)(value[id(node.input_tensors[0])])]
        return None

    images = keras.Input(input_shape, name="images")
    value = rerun(model, [standardize(images)], replace)
    return keras.Model(images, value[id(model.outputs[0])], name=name)


def classifier_of(model):
    """Returns the node of the last layer with a kernel of a model, which makes its logits.

    Raises:
        ValueError: there is none behind the average over the pixels.
    """
    tensor = model.outputs[0]
    while tensor is not model.inputs[0]:
        node = producer(tensor)
        if isinstance(node.operation, (L.Dense, L.Conv2D)):
            return node
        if getattr(node.operation, "weights", []) or len(node.input_tensors) != 1:
            break
        tensor = node.input_tensors[0]
    raise ValueError(
        f"A classifier ends in a dense layer, its logits. Received: {model.name}, which ends in "
        f"{type(producer(model.outputs[0]).operation).__name__}."
    )


def _require_shape(model, input_shape):
    expected = model.inputs[0].shape[1:]
    fits = len(expected) == len(input_shape) and all(
        own in (None, size) for own, size in zip(expected, input_shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{model.name} takes images of the shape {expected}. Received: images of "
            f"{tuple(input_shape)}. Pass the --image_size of the model."
        )


def _classifier(layer, classes):
    """Returns the last layer in full precision, or a new one for another number of classes."""
    number = "units" if isinstance(layer, L.Dense) else "filters"
    old = layer.get_config()
    config = {**old, "dtype": full_precision(), "name": "classifier", number: classes}
    classifier = type(layer).from_config(config)
    classifier.build((*[None] * (layer.input_spec.min_ndim - 1), layer.kernel.shape[-2]))
    if old[number] == classes:
        classifier.set_weights(layer.get_weights())
    return classifier
