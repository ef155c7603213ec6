"""Serves exported models over gRPC, as TensorFlow Serving does.

    python serving/server.py --model_base_path=runs/demo/export

A small double of tensorflow_model_server: the same calls, flags, text files, status codes and
messages. It is the default on machines without docker and the double of the real server in the
tests; production is tensorflow/serving.
"""

import pathlib
import runpy
import sys

TFGATES_COMMAND = "tfgates.tools.serve"

if __name__ == "__main__":
    # The packages beside this folder, in a clone where nothing is installed.
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
    runpy.run_module(TFGATES_COMMAND, run_name="__main__")
