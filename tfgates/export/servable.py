"""What can be served: a functional model, images of one size -> class logits."""

from tfgates.graph.logits import last_function, without_softmax
from tfgates.graph.nodes import keras_kind, producer, require_graph
from tfgates.graph.outputs import logits_of
from tfgates.graph.pruning import expected
from tfgates.graph.rebuilding import of_shape


def servable(network, size):
    """Returns a network in the form that is exported, or says why it cannot be.

    Args:
        network: built `Network` or another functional model: RGB images -> logits [B, K]. A softmax
            at the end of one without gates is left out: scores are one already. Branches of
            stochastic depth are scaled by their probabilities, not skipped.
        size: height and width of the images in pixels.

    Returns:
        Functional model of one input, [None, size, size, 3].

    Raises:
        ValueError: a network that cannot be served.
    """
    model = require_graph(network)
    _require_images(model, size)
    model = expected(model)
    if len(model.outputs) == 1:
        model = without_softmax(model)
    model = of_shape(model, (None, size, size, 3))
    _require_logits(model)
    return model


def _require_images(model, size):
    shapes = [tensor.shape for tensor in model.inputs]
    known = shapes[0][1:] if len(shapes) == 1 else ()
    if len(known) != 3 or any(
        have not in (None, want) for have, want in zip(known, (size, size, 3), strict=True)
    ):
        raise ValueError(
            f"{model.name} is served images of {size} x {size} x 3, as its preprocessing makes "
            f"them. Received: a network of inputs {', '.join(str(shape[1:]) for shape in shapes)}."
        )


def _require_logits(model):
    logits = logits_of(model.output)
    operation = producer(logits).operation
    function = last_function(operation)
    name = (keras_kind(function) or getattr(function, "__name__", "")).lower()
    if name.startswith(("sigmoid", "softmax")):
        raise ValueError(
            f"Scores are a softmax over the logits of a network. Received: {model.name}, which "
            f"ends in the {name} of {operation.name}. Leave it out."
        )
    if logits.shape[0] is not None:
        raise ValueError(
            f"A network is served any number of images at a time. Received: {model.name}, which "
            f"makes outputs {logits.shape} of them. Build it without a fixed batch size."
        )
    if len(logits.shape) != 2 or (logits.shape[-1] or 0) < 2:
        raise ValueError(
            f"A network to be exported returns logits [B, K] of at least 2 classes. Received: "
            f"{model.name} with outputs {logits.shape}."
        )
