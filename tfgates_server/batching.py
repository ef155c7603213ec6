"""Requests of one signature merged along their first axis, and the answers split again."""

import dataclasses

import numpy as np

from tfgates.base.cores import CORES
from tfgates.base.errors import UserError
from tfgates_server.refused import invalid


@dataclasses.dataclass(frozen=True)
class Batching:
    """When requests are merged; the defaults are TensorFlow Serving's.

    Attributes:
        max_batch_size: images of a batch at most; a larger request is refused.
        timeout_seconds: how long a request waits for others to fill its batch.
        max_enqueued_batches: what waits beyond so many full batches of a signature is refused.
        threads: batches that run side by side.
        allowed_batch_sizes: a batch is padded to the next of these; empty: any size.
    """

    max_batch_size: int = 1000
    timeout_seconds: float = 0.0
    max_enqueued_batches: int = 10
    threads: int = CORES
    allowed_batch_sizes: tuple[int, ...] = ()

    @classmethod
    def from_parameters(cls, parameters):
        """Makes it of a `BatchingParameters` message.

        Raises:
            UserError: a parameter out of its range, or one that this server does not know.
        """
        if parameters.pad_variable_length_inputs:
            raise UserError(
                "pad_variable_length_inputs is not offered here: all images of an input have one "
                "size. Leave it out."
            )
        sizes = tuple(parameters.allowed_batch_sizes)
        found = cls(
            max_batch_size=_value(parameters, "max_batch_size", cls.max_batch_size, 1),
            timeout_seconds=_value(parameters, "batch_timeout_micros", 0, 0) / 1e6,
            max_enqueued_batches=_value(
                parameters, "max_enqueued_batches", cls.max_enqueued_batches, 1
            ),
            threads=_value(parameters, "num_batch_threads", cls.threads, 1),
            allowed_batch_sizes=sizes,
        )
        rising = list(sizes) == sorted({size for size in sizes if size > 0})
        if sizes and not (rising and sizes[-1] == found.max_batch_size):
            raise UserError(
                "allowed_batch_sizes increase from 1 or more up to max_batch_size, "
                f"{found.max_batch_size}. Received: {', '.join(map(str, sizes))}."
            )
        return found

    def rows(self, inputs):
        """Returns the number of images of a request.

        Raises:
            Refused: the inputs have no common one, or one that is too large.
        """
        if any(array.ndim == 0 for array in inputs.values()):
            raise invalid("Batching Run() input tensors must have at least one dimension")
        sizes = {len(array) for array in inputs.values()}
        if len(sizes) > 1:
            raise invalid("Batching Run() input tensors must have equal 0th-dimension size")
        rows = max(sizes, default=0)
        if rows > self.max_batch_size:
            raise invalid(
                f"Task size {rows} is larger than maximum input batch size {self.max_batch_size}"
            )
        return rows

    def padded(self, rows):
        """Returns the size to which a batch of so many images is padded."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


def _value(parameters, name, default, least):
    if not parameters.HasField(name):
        return default
    value = getattr(parameters, name).value
    if value < least:
        raise UserError(f"{name} is at least {least}. Received: {value}.")
    return value


def merge(requests, size):
    """Merges the inputs of several requests.

    Args:
        requests: list of NumPy arrays by name, with the same names, types and shapes but for the
            first axis.
        size: rows of the result; those that are missing repeat the last one.

    Returns:
        NumPy arrays by name.
    """
    merged = {}
    for name in requests[0]:
        arrays = [inputs[name] for inputs in requests]
        missing = size - sum(map(len, arrays))
        if missing:
            arrays.append(np.repeat(arrays[-1][-1:], missing, axis=0))
        merged[name] = np.concatenate(arrays)
    return merged


def split(outputs, counts):
    """Splits the outputs of a merged run.

    Args:
        outputs: NumPy arrays by name; the first rows are those of the requests, in order.
        counts: rows of each request.

    Returns:
        For each request its NumPy arrays by name.
    """
    ends = np.cumsum(counts)
    return [
        {name: array[end - count : end] for name, array in outputs.items()}
        for count, end in zip(counts, ends, strict=True)
    ]
