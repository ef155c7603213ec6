"""A TensorProto as a NumPy array, read as TensorFlow Serving reads it, and no larger than is safe.

The rules are those of tensorflow::Tensor::FromProto; but for the bound on what is repeated, which
the real server has not.
"""

import itertools
import math
import operator

import numpy as np
import tensorflow as tf

from tfgates_server.refused import invalid

MAX_DIMENSIONS = 254
MAX_ELEMENTS = 2**63 - 1
# What a few bytes of a request may be expanded to; a hundred requests may wait with it.
MAX_REPEATED_BYTES = 16 * 2**20
_FIELDS = {
    tf.string: "string_val",
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.bool: "bool_val",
    tf.int64: "int64_val",
    tf.uint32: "uint32_val",
    tf.uint64: "uint64_val",
    **dict.fromkeys((tf.int32, tf.int16, tf.int8, tf.uint16, tf.uint8), "int_val"),
}


def header(name, proto):
    """Reads the type and the shape of a tensor, of which `unknown_rank` is no part.

    Args:
        name: of the input, for the error.
        proto: `TensorProto`.

    Returns:
        `tf.DType` and tuple of sizes.

    Raises:
        Refused: there is no such type, or no such shape.
    """
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    counts = itertools.accumulate(shape, operator.mul)
    sound = len(shape) <= MAX_DIMENSIONS and all(0 <= count <= MAX_ELEMENTS for count in counts)
    if not sound or min(shape, default=0) < 0:
        raise _unsound(name)
    try:
        return tf.as_dtype(proto.dtype), shape
    except TypeError as error:
        raise _unsound(name) from error


def to_array(name, proto):
    """Reads the values of a tensor.

    They stand in `tensor_content`, all of them, or in the list of their type: values beyond the
    shape are dropped, missing ones repeat the last, and without any all are zero or empty.

    Args:
        name: of the input, for the errors.
        proto: `TensorProto` with a sound `header`.

    Returns:
        NumPy array; strings are objects of type bytes.

    Raises:
        Refused: the values do not fit, or would take more than `MAX_REPEATED_BYTES` repeated.
    """
    dtype, shape = header(name, proto)
    try:
        if proto.tensor_content:
            return _from_content(proto.tensor_content, dtype, shape)
        if dtype not in _FIELDS:
            return tf.make_ndarray(proto)
    except (ValueError, TypeError, KeyError, OverflowError, IndexError) as error:
        raise _unsound(name) from error
    values, count = getattr(proto, _FIELDS[dtype]), math.prod(shape)
    array_type = np.dtype(dtype.as_numpy_dtype)
    if len(values) < count:
        check_repeated(f"{name} of shape {shape}", count * array_type.itemsize)
    array = np.full(count, b"" if dtype == tf.string else 0, array_type)
    given = min(len(values), count)
    # An integer that is too large for its type wraps around.
    kind = "int32" if _FIELDS[dtype] == "int_val" else array_type
    array[:given] = np.fromiter(itertools.islice(values, given), kind, given).astype(array_type)
    if given:
        array[given:] = array[given - 1]
    return array.reshape(shape)


def check_repeated(what, size):
    """Refuses what would take too many bytes, because it is repeated.

    Raises:
        Refused: more than `MAX_REPEATED_BYTES`.
    """
    if size > MAX_REPEATED_BYTES:
        raise invalid(
            f"{what} takes {size} bytes, more than {MAX_REPEATED_BYTES}, where values are "
            "repeated. Send every value, or fewer images."
        )


def _from_content(content, dtype, shape):
    if dtype != tf.string:
        return np.frombuffer(content, dtype.as_numpy_dtype).reshape(shape)
    array = np.empty(math.prod(shape), object)
    array[:] = _split(content, len(array))
    return array.reshape(shape)


def _split(content, count):
    """Returns the strings whose lengths, as varints, stand before them all."""
    lengths, position = [], 0
    for _ in range(count):
        length = 0
        for shift in range(0, 35, 7):
            byte = content[position]
            position += 1
            length |= (byte & 127) << shift
            if byte < 128:
                break
        else:
            raise ValueError("A length has at most five bytes.")
        lengths.append(length)
    ends = list(itertools.accumulate(lengths, initial=position))
    if ends[-1] != len(content):
        raise ValueError("The lengths are not those of the strings.")
    return [content[first:end] for first, end in itertools.pairwise(ends)]


def _unsound(name):
    return invalid(f"tensor parsing error: {name}")
