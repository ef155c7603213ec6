"""A SavedModel under a name, and the requests that TensorFlow Serving refuses of it."""

import pathlib

import grpc
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfgates.errors import UserError

CODES = {code.value[0]: code for code in grpc.StatusCode}


class Refused(Exception):
    """A request that the real server refuses with this status."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def invalid(message):
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


class Model:
    """A SavedModel under a name.

    Args:
        name: under which clients ask for it.
        path: of its folder, named by the version.

    Raises:
        UserError: there is no readable SavedModel.
    """

    def __init__(self, name, path):
        path = pathlib.Path(path)
        self.name = name
        self.version = int(path.name)
        try:
            # Its functions live as long as the object does.
            self._loaded = tf.saved_model.load(str(path))
            saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{path} holds no readable SavedModel: {reason}. Export the run again."
            ) from error
        self.signature_defs = dict(saved.meta_graphs[0].signature_def)

    def has(self, signature):
        return signature in self._loaded.signatures

    def run(self, signature, inputs):
        """Runs a signature.

        Args:
            signature: its name.
            inputs: tensors by name.

        Returns:
            Tensors by name.

        Raises:
            Refused: the inputs are not those of the signature, or the graph refuses their values.
        """
        specs = self._loaded.signatures[signature].structured_input_signature[1]
        _check_names(inputs, specs)
        for name, spec in specs.items():
            value = inputs[name]
            if value.dtype != spec.dtype or not spec.shape.is_compatible_with(value.shape):
                raise invalid(
                    f"Input {name} has type {spec.dtype.name} and shape {spec.shape}. "
                    f"Received: type {value.dtype.name}, shape {value.shape}."
                )
        try:
            return self._loaded.signatures[signature](**inputs)
        except tf.errors.OpError as error:
            raise Refused(CODES[error.error_code], error.message) from error


def _check_names(inputs, specs):
    if set(inputs) == set(specs):
        return
    extra, missing = sorted(set(inputs) - set(specs)), sorted(set(specs) - set(inputs))
    raise invalid(
        f"input size does not match signature: {len(inputs)}!={len(specs)} "
        f"len({{{','.join(sorted(inputs))}}}) != len({{{','.join(sorted(specs))}}}). "
        f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
    )
