"""The networks of `keras.applications`, on raw pixels."""

import pathlib

import keras
from keras import layers as L
from keras import ops

from tfgates.base.errors import UserError
from tfgates.gates import full_precision
from tfgates.graph.copying import named_layers
from tfgates.graph.logits import without_softmax
from tfgates.network import num_classes
from tfgates.networks.on_pixels import classifier_of, on_pixels
from tfgates.networks.residual import standardization

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SYMMETRIC = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# Blue, green, red, of which these means are subtracted.
CAFFE = (103.939, 116.779, 123.68)
CLASSES = 1000


def _symmetric(pixels):
    return standardization(*SYMMETRIC)(pixels)


def _imagenet(pixels):
    return standardization(*IMAGENET)(pixels)


def _caffe(pixels):
    offset = [-mean for mean in CAFFE]
    shift = L.Rescaling(1.0, offset, dtype=full_precision(), name="standardization")
    return shift(ops.flip(pixels, axis=-1))


def _inside(pixels):
    """The network does it by itself."""
    return pixels


# By name of the network: what its weights expect of raw pixels, 0-255.
APPLICATIONS = {
    **dict.fromkeys(("ResNet50", "ResNet101", "ResNet152"), _caffe),
    **dict.fromkeys(
        (
            *("ResNet50V2", "ResNet101V2", "ResNet152V2", "MobileNetV2"),
            *("Xception", "InceptionResNetV2", "NASNetMobile", "NASNetLarge"),
        ),
        _symmetric,
    ),
    **dict.fromkeys(("DenseNet121", "DenseNet169", "DenseNet201"), _imagenet),
    **dict.fromkeys(
        (
            *(f"EfficientNetB{number}" for number in range(8)),
            *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
            *(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge")),
            *("MobileNetV3Small", "MobileNetV3Large"),
        ),
        _inside,
    ),
}


def application(name, classes, input_shape=(224, 224, 3), synchronized=False):
    """Builds a network of `keras.applications` that has branches, with random weights.

    Args:
        name: a key of `APPLICATIONS`.
        classes: number of classes K, at least 2.
        input_shape: (H, W, C) of the images.
        synchronized: batch norm over all replicas instead of over each one's share.

    Returns:
        `keras.Model` of this name, raw pixels, 0-255 -> logits [B, K]; what its published weights
        expect of the pixels is done inside.

    Raises:
        ValueError: another name, or images that are too small for it.
    """
    if name not in APPLICATIONS:
        raise ValueError(
            f"`name` is one of the networks of keras.applications that have branches: "
            f"{', '.join(APPLICATIONS)}. Received: {name!r}."
        )
    model = _constructor(name)(weights=None, input_shape=input_shape, classes=classes)
    return on_pixels(model, name, classes, input_shape, APPLICATIONS[name], synchronized)


def load_application(network, value):
    """Assigns Keras's own ImageNet weights, or those of a file, to a network of `application`.

    Args:
        network: of `application`, gated or not. Its gates stay as they are, and its classifier
            where it has another number of classes.
        value: "imagenet", downloaded once; or the path of such a file of weights.

    Returns:
        The number of layers that were loaded, and the number of classes of the file.

    Raises:
        UserError: the file cannot be downloaded or read, or is of another network.
    """
    source, own = _with_weights(network.name, value), named_layers(network)
    features = source.outputs[0].shape
    classes, last = 0, None
    if len(features) == 2:
        classes, last = features[-1], classifier_of(without_softmax(source)).operation
    loaded = []
    for name, layer in named_layers(source).items():
        if not layer.weights:
            continue
        if layer is last or layer.name == getattr(last, "name", None):
            if classes != num_classes(network):
                continue
            name = "classifier"
        shapes = [[w.shape for w in one.weights] for one in (layer, own.get(name, layer))]
        if name not in own or shapes[0] != shapes[1]:
            raise UserError(
                f"The weights of {value} do not fit {network.name}: {name} has the shapes "
                f"{shapes[0]}, not {shapes[1]}. Name a file of this network."
            )
        loaded.append((own[name], layer))
    for layer, theirs in loaded:
        layer.set_weights(theirs.get_weights())
    return len(loaded), classes


def _with_weights(name, value):
    """Returns the network with its published weights, with its classifier or without."""
    try:
        return _constructor(name)(weights=value)
    except Exception as error:
        first = error
    if value != "imagenet" and pathlib.Path(value).is_file():
        try:
            return _constructor(name)(weights=value, include_top=False)
        except Exception:
            pass
    reason = str(first).splitlines()[0][:200] if str(first) else type(first).__name__
    raise UserError(
        f"Keras's weights of {name} cannot be loaded: {reason}. Download the file by hand and pass "
        "--init_from=keras:PATH."
    ) from first


def _constructor(name):
    return getattr(keras.applications, name)
