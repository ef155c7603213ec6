"""Served graphs and the plain network as Keras exports it, ready to be timed side by side."""

import itertools
import pathlib

import keras
import tensorflow as tf

from tfgates.base.cores import CORES
from tfgates.graph.outputs import features_and_decisions
from tfgates.graph.pruning import prune
from tfgates.network import num_gates

# (threads inside an operation, operations side by side): what suits one image after the other,
# and what suits images side by side.
WIDE, SIDE_BY_SIDE = (CORES, 1), (1, CORES)


class Served:
    """A SavedModel in a session of its own, as TensorFlow Serving runs it.

    Args:
        path: of the SavedModel.
        threads: inside an operation, and operations side by side: the server's
            --tensorflow_intra_op_parallelism and --tensorflow_inter_op_parallelism.
        signature: its name.
        bfloat16: compute in bfloat16 where TensorFlow holds it to be safe: the server's
            --mixed_precision=bfloat16.

    Attributes:
        inputs: their names.

    Called with arrays by name it returns arrays by name.
    """

    def __init__(self, path, threads, signature="serving_default", bfloat16=False):
        intra, inter = threads
        config = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=intra,
            inter_op_parallelism_threads=inter,
            use_per_session_threads=True,
        )
        if bfloat16:
            config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = 1
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph, config=config)
        with graph.as_default():
            loaded = tf.compat.v1.saved_model.loader.load(self._session, ["serve"], str(path))
        definition = loaded.signature_def[signature]
        self.inputs = list(definition.inputs)
        self._outputs = list(definition.outputs)
        self._run = self._session.make_callable(
            [definition.outputs[name].name for name in self._outputs],
            [graph.get_tensor_by_name(definition.inputs[name].name) for name in self.inputs],
        )

    def __call__(self, **inputs):
        values = self._run(*(inputs[name] for name in self.inputs))
        return dict(zip(self._outputs, values, strict=True))

    def close(self):
        self._session.close()


def in_turn(served, images, batch):
    """Returns a function that classifies the next `batch` of the images at each call.

    Args:
        served: `Served` with the signature "predict_images", or what `export_with_keras` made.
        images: [N, H, W, C].
        batch: number of images, at most N.
    """
    starts = itertools.cycle(range(0, len(images) - batch + 1, batch))

    def call():
        first = next(starts)
        served(images=images[first : first + batch])

    return call


def without_gates(network):
    """Returns the same network, with the same weights, in which every branch is always run."""
    return prune(network, dict.fromkeys(range(num_gates(network)), True))


def export_with_keras(network, input_shape, folder):
    """Exports a network by `keras.Model.export`, which computes every branch.

    Args:
        network: functional model, images -> logits, or `Network`, whose gates then mask.
        input_shape: (H, W, C) of its images.
        folder: of the SavedModel, of which the input is called images; the one output is logits.

    Returns:
        Path of the SavedModel.
    """
    plain = keras.Model(network.inputs[0], features_and_decisions(network)[0], name=network.name)
    signature = [tf.TensorSpec([None, *input_shape], tf.float32, name="images")]
    path = pathlib.Path(folder)
    plain.export(str(path), input_signature=signature, verbose=False)
    return path
