"""Trains a gated network, evaluates it under every policy, and leaves a run folder.

    python train.py --flagfile=flags/demo.cfg

The same command on an existing run folder resumes it after its last finished epoch.
"""

import runpy

TFGATES_COMMAND = "tfgates.tools.train"

if __name__ == "__main__":
    runpy.run_module(TFGATES_COMMAND, run_name="__main__")
