"""Trains a gated network: python train.py --flagfile=flags/demo.cfg."""

import runpy

runpy.run_module("tfgates.tools.train", run_name="__main__", alter_sys=False)
