"""Serves the export of a run, classifies eight test images with the client, and stops.

python serving/demo.py --run=runs/demo
"""

import pathlib
import runpy
import sys

TFGATES_COMMAND = "tfgates.tools.demo"

if __name__ == "__main__":
    # The packages beside this folder, in a clone where nothing is installed.
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
    runpy.run_module(TFGATES_COMMAND, run_name="__main__")
