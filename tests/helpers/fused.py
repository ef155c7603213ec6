"""Counts the operations that TensorFlow runs of exported networks, after all that it optimizes.

A process of its own, because whether oneDNN is used is decided when TensorFlow starts:

    TF_ENABLE_ONEDNN_OPTS=1 python -m fused NETWORK:PIXELS,SKIP ...

prints JSON, for each network a dict of the operations and how often each is there.
"""

import collections
import json
import sys
import tempfile

import numpy as np
import tensorflow as tf

from benchmarks.graphs import Graphs
from tfgates.network import num_gates


def executed(path, inputs):
    """Counts the operations in the graph of a SavedModel, by their names and what is fused."""
    found, record = collections.Counter(), tf.compat.v1.RunMetadata()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(path))
        signature = loaded.signature_def["serving_default"]
        fed = {signature.inputs[name].name: value for name, value in inputs.items()}
        outputs = [output.name for output in signature.outputs.values()]
        options = tf.compat.v1.RunOptions(output_partition_graphs=True)
        session.run(outputs, fed, options=options, run_metadata=record)
    for node in (node for part in record.partition_graphs for node in part.node):
        fused = "+".join(name.decode() for name in node.attr["fused_ops"].list.s)
        filters = ", constant" if node.attr["is_filter_const"].b else ""
        found[f"{node.op.removeprefix('_MklNative')} {fused}{filters}".strip()] += 1
    return found


def main():
    found = []
    for described, skip in (case.split(",") for case in sys.argv[1:]):
        with tempfile.TemporaryDirectory() as folder:
            graphs = Graphs(described, folder)
            path = graphs.skipping(graphs.network, "graph", skip)
            gates = num_gates(graphs.network)
            inputs = {"images": np.zeros((1, *graphs.shape)), "log_odds": np.zeros((1, gates))}
            found.append(executed(path, inputs))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
