"""One version of a model, in a TensorFlow session of its own, as in TensorFlow Serving."""

import pathlib

import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2

from tfgates.base.cores import CORES
from tfgates.base.errors import UserError
from tfgates_server.refused import CODES, Refused, invalid

tf1 = tf.compat.v1


def session_config(intra_op=1, inter_op=0, mixed_precision=""):
    """Returns the `ConfigProto` of a version's session.

    Args:
        intra_op: threads of one operation.
        inter_op: operations that run side by side; 0: as many as cores. An exported network runs
            image by image in a loop, so this is what spreads a batch over the cores.
        mixed_precision: "bfloat16" computes convolutions in it, "" all in float32.
    """
    config = tf1.ConfigProto(
        intra_op_parallelism_threads=intra_op,
        inter_op_parallelism_threads=inter_op or CORES,
        # Without it the first session of the process would set the number for all.
        use_per_session_threads=True,
    )
    if mixed_precision:
        rewrites = config.graph_options.rewrite_options
        rewrites.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
    return config


class Model:
    """A SavedModel, loaded.

    Args:
        name: under which clients ask for it.
        path: of its folder, named by the version.
        config: `ConfigProto` of the session.

    Raises:
        UserError: there is no readable SavedModel.
    """

    def __init__(self, name, path, config=None):
        path = pathlib.Path(path)
        self.name = name
        self.version = int(path.name)
        self._session = tf1.Session(graph=tf.Graph(), config=config or session_config())
        try:
            with self._session.graph.as_default():
                loaded = tf1.saved_model.load(self._session, [tf.saved_model.SERVING], str(path))
        except Exception as error:
            self._session.close()
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{path} holds no readable SavedModel: {reason}. Export the run again."
            ) from error
        self.signature_defs = dict(loaded.signature_def)

    def check(self, signature, name, dtype, shape):
        """Refuses an input whose type or shape is not that of a signature.

        Args:
            signature: its name.
            name: of the input, one of the signature.
            dtype: `tf.DType` received.
            shape: tuple of sizes received.

        Raises:
            Refused: it is not.
        """
        info = self.signature_defs[signature].inputs[name]
        wanted, form = tf.as_dtype(info.dtype), tf.TensorShape(info.tensor_shape)
        if dtype != wanted or not form.is_compatible_with(shape):
            raise invalid(
                f"Input {name} has type {wanted.name} and shape {form}. "
                f"Received: type {dtype.name}, shape {shape}."
            )

    def run(self, signature, inputs, timeout=None):
        """Runs a signature.

        Args:
            signature: its name.
            inputs: NumPy arrays by name, checked.
            timeout: seconds after which the run is given up; None: never.

        Returns:
            NumPy arrays by name: all outputs of the signature.

        Raises:
            Refused: the graph refuses the values, or the time is up.
        """
        definition = self.signature_defs[signature]
        outputs = {name: info.name for name, info in definition.outputs.items()}
        for operation in outputs.values():
            if ":" not in operation:
                # As that of __saved_model_init_op; the words are TensorFlow's.
                raise invalid(
                    f"Tried to fetch data for '{operation}', which produces no output.  To run to "
                    f"a node but not fetch any data, pass '{operation}' as an argument to the "
                    "'target_node_names' argument of the Session::Run API."
                )
        feed = {definition.inputs[name].name: value for name, value in inputs.items()}
        options = None
        if timeout is not None:
            options = tf1.RunOptions(timeout_in_ms=max(1, round(1e3 * timeout)))
        try:
            return self._session.run(outputs, feed, options)
        except tf.errors.OpError as error:
            message = error.message.removeprefix("Graph execution error:").strip()
            raise Refused(CODES[error.error_code], message) from error
        except UnicodeDecodeError as error:
            # The message of an error quotes what the caller sent, and that alone is no text.
            raise invalid(error.object.decode(errors="replace")) from error

    def close(self):
        """Frees the memory; what is running ends as CANCELLED."""
        self._session.close()
