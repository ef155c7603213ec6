"""How the calls in a functional Keras model are read and repeated.

Keras has no public interface to them. All names of Keras that are not public stand in this file;
`tests/graph/nodes_test.py` fails by name when Keras changes one.
"""

from typing import Any

import keras
from keras.src.backend import get_keras_mask, set_keras_mask


def nodes(model):
    """Returns the calls of a functional model in the order of computation, inputs left out.

    A node has `operation`, `input_tensors`, `outputs` and `arguments`. The same operation called
    twice is two nodes.
    """
    depths = sorted(model._nodes_by_depth, reverse=True)
    found = [node for depth in depths for node in model._nodes_by_depth[depth]]
    return [node for node in found if not node.is_input]


def producer(tensor):
    """Returns the node that made a symbolic tensor."""
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]


def keras_kind(operation):
    """Returns the name of the class of Keras that an operation is of, "" for one's own classes.

    Those may have a name of Keras's, or be made of one of its classes, and do something else.
    """
    kind = type(operation)
    return kind.__name__ if kind.__module__.startswith("keras.") else ""


def has_own_kernel(layer):
    """Whether a layer computes by its kernel as it is: not a quantized one, or one with LoRA."""
    return layer.quantization_mode is None and not getattr(layer, "lora_enabled", False)


def graph_of(operation):
    """Returns the functional model that an operation is, or None.

    A functional model of a class with a `call` of its own is none: its graph is not what runs.
    """
    call = getattr(operation, "call", None)
    if not getattr(call, "__module__", "").startswith("keras."):
        return None
    if isinstance(operation, keras.Sequential) and operation.built:
        return keras.Model(operation.inputs, operation.outputs)
    return operation if hasattr(operation, "_nodes_by_depth") else None


def require_graph(model):
    """Returns the functional model that a model is.

    Raises:
        ValueError: it is none.
    """
    graph = graph_of(model)
    if graph is not None:
        return graph
    why = "its calls cannot be seen"
    if hasattr(model, "_nodes_by_depth"):
        why = "its own `call` runs, and not the graph between its inputs and outputs"
    raise ValueError(
        f"{type(model).__name__} {getattr(model, 'name', model)!r} is not a functional model: "
        f"{why}. Build it from keras.Input with keras.Model(inputs, outputs)."
    )


def readers(model):
    """Returns the nodes that read a tensor, by its id; None stands for the outputs of the model."""
    order = nodes(model)
    found: dict[int, list[Any]] = {id(tensor): [] for node in order for tensor in node.outputs}
    for node in order:
        for tensor in node.input_tensors:
            found.setdefault(id(tensor), []).append(node)
    for tensor in model.outputs:
        found.setdefault(id(tensor), []).append(None)
    return found


def rerun(model, inputs, replace=lambda node, value: None):
    """Calls the operations of a model anew on other tensors; weights are shared.

    Models inside of it are inlined, so that every operation is one of the new model itself.

    Args:
        model: functional model.
        inputs: list of symbolic tensors, as many as the model has.
        replace: as of `repeat`.

    Returns:
        dict of the id of an old tensor -> the new tensor.
    """
    value = dict(zip(map(id, model.inputs), inputs, strict=True))
    return repeat(nodes(model), value, replace)


def repeat(calls, value, replace=lambda node, value: None):
    """Makes some calls of a model anew, those whose results are not there yet; see `rerun`.

    Args:
        calls: nodes in the order of computation.
        value: dict of the id of an old tensor -> the new tensor, of what they read.
        replace: function of a node and the dict of new tensors so far that returns the node's new
            outputs as a list; None calls its operation.

    Returns:
        The dict, with what they make.
    """
    for node in calls:
        if all(id(tensor) in value for tensor in node.outputs):
            continue
        outputs = replace(node, value)
        if outputs is None:
            inner = graph_of(node.operation)
            if inner is None:
                args, kwargs = arguments(node, value)
                outputs = node.operation(*args, **kwargs)
            else:
                ran = rerun(inner, [value[id(part)] for part in node.input_tensors], replace)
                outputs = [ran[id(tensor)] for tensor in inner.outputs]
        value.update(zip(map(id, node.outputs), keras.tree.flatten(outputs), strict=False))
    return value


def arguments(node, value):
    """Returns args and kwargs of a node with its symbolic tensors replaced; see `rerun`."""
    return node.arguments.fill_in(value)


def inputs_like(model, shapes=None, dtypes=None):
    """Returns new inputs of the names of those of a model, and of their shapes and dtypes."""
    shapes = shapes or [tensor.shape for tensor in model.inputs]
    dtypes = dtypes or [tensor.dtype for tensor in model.inputs]
    return [
        keras.Input(batch_shape=shape, dtype=dtype, name=tensor.name)
        for tensor, shape, dtype in zip(model.inputs, shapes, dtypes, strict=True)
    ]


def mask_of(tensor):
    """Returns the mask that Keras keeps beside a tensor, bool [B, steps], or None."""
    return get_keras_mask(tensor)


def masked(tensor, mask):
    """Puts a mask beside a tensor, or takes it away where that is None; returns the tensor."""
    set_keras_mask(tensor, mask)
    return tensor


def reads_only_tensors(node):
    """Whether a call has no argument but tensors of the model: no number, no `training`."""
    given = keras.tree.flatten((node.arguments.args, node.arguments.kwargs))
    return len([one for one in given if one is not None]) == len(node.input_tensors)


def hand_down(layer, name):
    """Makes a layer, called with a keyword, hand it to all layers inside, as it does `training`.

    Keras refuses this for a layer that was called; here that is allowed for a model, which takes
    any keyword.
    """
    if layer._called:
        layer._call_context_args = layer._call_context_args | {name}
    else:
        layer._register_call_context_args(name)


def layers_inside(model):
    """Returns all layers of a model, those inside of layers too."""
    return list(model._flatten_layers())


def listed(outputs):
    """Returns the outputs of a call as a list."""
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def only(tensors):
    """Returns the tensor of a list of one, else the list: what a call takes."""
    return tensors[0] if len(tensors) == 1 else tensors
