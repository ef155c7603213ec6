"""Masks of sequences, which Keras keeps beside tensors, where no layer of Keras hands them on."""

import keras

from tfgates.graph.nodes import graph_of, nodes


def mask_behind(layer, inputs, masks):
    """Returns the masks that a call puts beside its outputs, as a list; [] where it puts none.

    Args:
        layer: or operation.
        inputs: its first argument, a tensor or a structure of some.
        masks: a structure like it, of masks bool [B, steps]; None where a tensor has none.
    """
    known = any(mask is not None for mask in keras.tree.flatten(masks))
    if not known or not getattr(layer, "supports_masking", False):
        return []
    return keras.tree.flatten(layer.compute_mask(inputs, masks))


def masks_through(model, masks):
    """Returns the mask that a model puts beside its first output, and what it leaves of others.

    Args:
        model: functional model.
        masks: of its inputs, a list.

    Returns:
        A mask, or None; the masks beside its inputs once it ran, a list.
    """
    known = dict(zip(map(id, model.inputs), masks, strict=True))
    for node in nodes(model):
        inner = graph_of(node.operation)
        if inner is not None:
            made = masks_through(inner, [known.get(id(tensor)) for tensor in node.input_tensors])[
                :1
            ]
        else:
            # As Keras, which asks a layer for the mask of its first argument alone.
            first = next(iter([*node.arguments.args, *node.arguments.kwargs.values()]))
            of_first = keras.tree.map_structure(lambda tensor: known.get(id(tensor)), first)
            made = mask_behind(node.operation, first, of_first)
        if isinstance(node.operation, keras.layers.MultiHeadAttention):
            # Keras takes the masks of what it reads away, for every layer that reads it later.
            known.update(dict.fromkeys(map(id, node.input_tensors)))
        known.update(zip(map(id, node.outputs), made, strict=False))
    return known.get(id(model.outputs[0])), [known[id(tensor)] for tensor in model.inputs]
