"""What TensorFlow's own profiler counts of a function."""

import math

import tensorflow as tf

PRODUCTS = ("Conv2D", "DepthwiseConv2dNative", "MatMul", "BatchMatMulV2")


def profiled(function, spec):
    """Counts the operations of a function in convolutions and matrix products.

    Args:
        function: of one tensor.
        spec: `tf.TensorSpec` of it.
    """
    graph = tf.function(function).get_concrete_function(spec).graph
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    profile = tf.compat.v1.profiler.profile(graph, cmd="scope", options=options)
    kinds = {one.name: one.type for one in graph.get_operations()}

    def counted(node):
        own = node.float_ops if kinds.get(node.name) in PRODUCTS else 0
        return own + sum(map(counted, node.children))

    # The profiler has no rule for these.
    einsums = [one for one in graph.get_operations() if one.type == "Einsum"]
    return counted(profile) + sum(map(_of_einsum, einsums))


def _of_einsum(operation):
    """Each axis of both inputs is run through: two operations."""
    sizes = {}
    equation = operation.get_attr("equation").decode().split("->")[0].split(",")
    for axes, tensor in zip(equation, operation.inputs, strict=True):
        sizes |= dict(zip(axes, tensor.shape, strict=True))
    return 2 * math.prod(sizes.values())
