"""Multiply-adds of one call of a layer, for one image."""

import math

import keras
from keras import layers as L

from tfgates.graph.nodes import graph_of, keras_kind, nodes

# Each output number of these takes as many multiply-adds as the kernel has numbers for it.
DENSE = (L.Conv1D, L.Conv2D, L.Conv3D, L.Dense)
DEPTHWISE = (L.DepthwiseConv1D, L.DepthwiseConv2D)
SEPARABLE = (L.SeparableConv1D, L.SeparableConv2D)
# And each input number of these.
TRANSPOSED = (L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose)
# Scales, shifts and tables, however many axes their weights have.
FREE = (
    L.BatchNormalization,
    L.LayerNormalization,
    L.GroupNormalization,
    L.Normalization,
    L.Embedding,
    L.PReLU,
)
# Products of two tensors, which no rule here counts.
PRODUCTS = (
    *("Dot", "Tensordot", "Einsum", "Outer", "Inner", "Vdot"),
    *("Attention", "AdditiveAttention", "DotProductAttention"),
    *("Conv", "DepthwiseConv", "SeparableConv", "ConvTranspose"),
)


def multiply_adds(node):
    """Multiply-adds of one call, for one image; what is not a convolution or a product has none.

    A layer of one's own with weights says its own: an attribute `multiply_adds`, a number or a
    function of the shape of its input.

    Args:
        node: of `nodes`. Sizes that are not known count as 1.

    Raises:
        TypeError: a layer with weights, or a product, that no rule counts.
    """
    layer, shape, inputs = node.operation, node.outputs[0].shape, node.input_tensors
    own = getattr(layer, "multiply_adds", None)
    if own is not None:
        return own(inputs[0].shape) if callable(own) else own
    if isinstance(layer, DENSE + DEPTHWISE):
        return _pixels(shape, layer) * math.prod(layer.kernel.shape)
    if isinstance(layer, SEPARABLE):
        kernels = layer.depthwise_kernel.shape, layer.pointwise_kernel.shape
        return _pixels(shape, layer) * sum(map(math.prod, kernels))
    if isinstance(layer, TRANSPOSED):
        return _pixels(inputs[0].shape, layer) * math.prod(layer.kernel.shape)
    if isinstance(layer, L.EinsumDense):
        return _einsum_dense(layer, shape)
    if isinstance(layer, L.MultiHeadAttention):
        return _attention(node)
    if keras_kind(layer) == "Matmul":
        first, *_ = keras.tree.flatten((node.arguments.args, node.arguments.kwargs))
        return _size(shape[1:]) * (first.shape[-1] or 1)
    inner = graph_of(layer)
    if inner is not None:
        return sum(map(multiply_adds, nodes(inner)))
    return _nothing(layer)


def of_gate(gate, input_shape):
    """Multiply-adds of a gate for one image; see `multiply_adds`.

    Args:
        gate: built layer or functional model.
        input_shape: of the features that it reads.
    """
    own = getattr(gate, "multiply_adds", None)
    if own is not None:
        return own(input_shape) if callable(own) else own
    inner = graph_of(gate)
    return _nothing(gate) if inner is None else sum(map(multiply_adds, nodes(inner)))


def _nothing(layer):
    """Returns 0 for a layer that only moves, adds or scales numbers."""
    matrices = [weight for weight in getattr(layer, "weights", []) if len(weight.shape) > 1]
    if (matrices and type(layer) not in FREE) or keras_kind(layer) in PRODUCTS:
        raise TypeError(
            f"No rule counts the multiply-adds of {type(layer).__name__} {layer.name!r}. Give its "
            "class an attribute `multiply_adds`: a number, or a function of the shape of its input."
        )
    return 0


def _size(shape):
    return math.prod(size or 1 for size in shape)


def _pixels(shape, layer):
    """The number of places of a kernel: all axes but those of images and channels."""
    first = getattr(layer, "data_format", None) == "channels_first"
    return _size(shape[2:] if first else shape[1:-1])


def _einsum_dense(layer, shape):
    """Each output number sums over the axes of the kernel that the output lacks."""
    kernel, output = layer.equation.replace(" ", "").split(",")[1].split("->")
    sizes = dict(zip(kernel, layer.kernel.shape, strict=True))
    return _size(shape[1:]) * math.prod(sizes[axis] for axis in kernel if axis not in output)


def _attention(node):
    """Projections of query, key, value and output, and the two products between them."""
    layer, given = node.operation, node.arguments.kwargs
    read = dict(zip(("query", "value", "key"), node.arguments.args, strict=False)) | given
    key = read["value"] if read.get("key") is None else read["key"]
    tokens, keys = (_size(tensor.shape[1:-1]) for tensor in (read["query"], key))
    parts = layer.query_dense, layer.output_dense, layer.key_dense, layer.value_dense
    of_query, of_output, of_key, of_value = (math.prod(part.kernel.shape) for part in parts)
    if layer.get_config().get("use_gate"):
        of_output += read["query"].shape[-1] * layer.num_heads * layer.value_dim
    products = layer.num_heads * tokens * keys * (layer.key_dim + layer.value_dim)
    return tokens * (of_query + of_output) + keys * (of_key + of_value) + products
