"""A Keras layer or operation as it is, on constants."""

import keras
import tensorflow as tf
from keras.ops import convert_to_numpy

from tfgates.graph.nodes import mask_of, masked

BOLD, NORMAL = "\x1b[1m", "\x1b[0m"


def as_it_is(layer, place):
    """Returns a Keras layer, or an operation, as a function on constants.

    Whatever it does in training alone, as augmentation by default, it does not do here.

    Raises, when called:
        TypeError: the layer cannot be part of a TensorFlow graph.
    """
    placed = [
        (weight, place(convert_to_numpy(weight))) for weight in getattr(layer, "variables", ())
    ]

    at_inference = {"training": False} if isinstance(layer, keras.Layer) else {}

    def run(*args, **kwargs):
        constants = [(weight, tf.convert_to_tensor(value)) for weight, value in placed]
        try:
            with keras.StatelessScope(constants):
                outputs = layer(*args, **{**kwargs, **at_inference})
        except Exception as error:
            raise TypeError(
                f"{type(layer).__name__} {layer.name!r} cannot be exported: {_reason(error)}"
            ) from error
        return keras.tree.map_structure(_in_full, outputs)

    return run


def _reason(error):
    """Returns the line of an error that says why; Keras writes it in bold below another one."""
    lines = [line for line in str(error).splitlines() if line] or [type(error).__name__]
    bold = [line for line in lines if line.startswith(BOLD)]
    return (bold or lines)[0].removeprefix(BOLD).removesuffix(NORMAL)


def _in_full(tensor):
    """Everything is computed in float32, whatever precision a layer was trained in."""
    if not tensor.dtype.is_floating:
        return tensor
    return masked(tf.cast(tensor, tf.float32), mask_of(tensor))
