"""TensorFlow Serving's Predict call for a client without TensorFlow.

The messages of predict.proto are built from its compiled descriptor, which any version of protobuf
reads; generated Python code would be tied to one.
"""

import math
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PREDICT = "/tensorflow.serving.PredictionService/Predict"

_DESCRIPTORS = descriptor_pb2.FileDescriptorSet.FromString(
    pathlib.Path(__file__).with_name("predict.binpb").read_bytes()
)
_POOL = descriptor_pool.DescriptorPool()
for _file in _DESCRIPTORS.file:
    _POOL.Add(_file)


def _message(name: str) -> Any:
    descriptor = _POOL.FindMessageTypeByName(f"tfgates.wire.{name}")
    return message_factory.GetMessageClass(descriptor)


PredictRequest = _message("PredictRequest")
PredictResponse = _message("PredictResponse")

# A few bytes of an answer take no more memory than this.
MAX_REPEATED = 2**20
# tensorflow.DataType -> NumPy type and the field of the values.
_TYPES: dict[int, tuple[np.dtype[Any], str]] = {
    1: (np.dtype("float32"), "float_val"),
    2: (np.dtype("float64"), "double_val"),
    3: (np.dtype("int32"), "int_val"),
    7: (np.dtype("object"), "string_val"),
    9: (np.dtype("int64"), "int64_val"),
    10: (np.dtype("bool"), "bool_val"),
}


def set_strings(tensor: Any, values: Sequence[bytes]) -> None:
    """Sets a tensor to a list of byte strings."""
    tensor.dtype = 7
    tensor.tensor_shape.dim.add(size=len(values))
    tensor.string_val.extend(values)


def set_floats(tensor: Any, values: Sequence[float]) -> None:
    """Sets a tensor to a list of numbers, float32."""
    tensor.dtype = 1
    tensor.tensor_shape.dim.add(size=len(values))
    tensor.float_val.extend(values)


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Returns the sizes of a tensor.

    Raises:
        ValueError: one is negative.
    """
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if min(shape, default=0) < 0:
        raise ValueError(f"The server sent a tensor of the shape {shape}.")
    return shape


def to_array(tensor: Any) -> npt.NDArray[Any]:
    """Returns a tensor as a NumPy array; strings as objects of type bytes.

    The values stand in `tensor_content`, or in the list of their type, where a list that is too
    short repeats its last value, up to `MAX_REPEATED` times.

    Raises:
        ValueError: a type that no answer of a tfgates model has, no such shape, or values that do
            not fill it.
    """
    if tensor.dtype not in _TYPES:
        raise ValueError(f"The server sent a tensor of the unknown type {tensor.dtype}.")
    dtype, field = _TYPES[tensor.dtype]
    shape = shape_of(tensor)
    count = math.prod(shape)
    if tensor.tensor_content:
        values = np.frombuffer(tensor.tensor_content, dtype)
    else:
        given = getattr(tensor, field)
        missing = count - len(given)
        if missing > 0 and not given:
            raise ValueError(f"The server sent a tensor of shape {shape} without values.")
        if missing > MAX_REPEATED:
            raise ValueError(f"The server sent {len(given)} values of a tensor of shape {shape}.")
        values = np.empty(len(given) + max(missing, 0), dtype)
        values[: len(given)] = given
        values[len(given) :] = given[-1:] * max(missing, 0)
    if len(values) != count:
        raise ValueError(f"The server sent {len(values)} values of a tensor of shape {shape}.")
    return values.reshape(shape)
