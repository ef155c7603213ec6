"""A trained network as a SavedModel, in one call."""

from tfgates.data.preprocess import Preprocessing
from tfgates.export import card, warmup
from tfgates.export.publish import publish
from tfgates.export.savedmodel import ServedModel
from tfgates.graph.pruning import expected


def export_model(classifier, folder, *, labels, preprocessing, version=None, **options):
    """Writes a network as the next version of a folder, for TensorFlow Serving.

    Args:
        classifier: `GatedClassifier`, or the network of one.
        folder: of the versions; it is made where it is missing.
        labels: names of the K classes.
        preprocessing: `Preprocessing` of the images, or their height and width in pixels. The
            network takes raw pixels, 0-255.
        version: a number from 1; None is the next one.
        **options: tau, top_k, skip, weights, decode, fixed: see `ServedModel`.

    Returns:
        Path of the version.

    Raises:
        ValueError: an argument out of its range, or a network that cannot be served.
        UserError: the folder cannot be written, or the version is there already.
    """
    network = expected(getattr(classifier, "network", classifier))
    if isinstance(preprocessing, int):
        preprocessing = Preprocessing(preprocessing)
    model = ServedModel(network, preprocessing, labels, **options)
    extras = {
        "tfgates.json": card.as_json(card.describe(model, network, trained=None, measured=None)),
        warmup.FILE: warmup.of_model(model),
    }
    return publish(model, folder, version, extras)
