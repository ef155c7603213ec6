"""Trains a gated network, evaluates it under every policy, and leaves a run folder.

    python train.py --flagfile=flags/demo.cfg

The same command on an existing run folder resumes it after its last finished epoch.
"""

import runpy
import signal

# Until the training begins Ctrl-C has nothing to finish; a background job ignores it.
if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
runpy.run_module("tfgates.tools.train", run_name="__main__")
