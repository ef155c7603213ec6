"""A Keras model of one's own as a network on raw pixels."""

import pathlib

import keras

from tfgates.base.errors import UserError
from tfgates.networks.on_pixels import on_pixels
from tfgates.networks.residual import standardization


def load_model(path):
    """Reads a Keras model from a file.

    Args:
        path: of a .keras or .h5 file.

    Returns:
        `keras.Model`.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    if not pathlib.Path(path).is_file():
        raise UserError(f"A model of your own is a .keras file. Received: {path}, not a file.")
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else ""
        raise UserError(
            f"{path} cannot be read as a Keras model: {type(error).__name__}: {reason} A model "
            "with layers of your own needs --code=FILE.py, which registers them."
        ) from error


def own_model(model, classes, input_shape, statistics, synchronized=False):
    """Makes a network of a model of one's own.

    Args:
        model: functional Keras model, images -> logits or probabilities; its layers are shared.
        classes: number of classes K. A last dense layer with another number is made anew.
        input_shape: (H, W, C) of the images.
        statistics: mean and std of each channel, on pixels in [0, 1], that the model expects to
            have been taken away and divided by.
        synchronized: see `application`.

    Returns:
        `keras.Model`, raw pixels, 0-255 -> logits [B, K].

    Raises:
        ValueError: the model is not functional, takes other images, or ends in no dense layer of
            `classes`.
    """
    return on_pixels(
        model, model.name, classes, input_shape, _standardize(statistics), synchronized
    )


def _standardize(statistics):
    """Returns a function of raw pixels; one that does nothing where the model takes them so."""
    mean, std = statistics
    if not any(mean) and set(std) == {1 / 255}:
        return lambda pixels: pixels
    return standardization(mean, std)
