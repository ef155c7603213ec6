"""Trains a gated network, evaluates it under every policy, and leaves a run folder.

    python train.py --flagfile=flags/demo.cfg

The same command on an existing run folder resumes it after its last finished epoch.
"""

from absl import flags

import tfgates.settings.flags
from tfgates.base import command
from tfgates.settings.config import TrainConfig

tfgates.settings.flags.define_flags()
flags.adopt_module_key_flags(tfgates.settings.flags)


if __name__ == "__main__":
    command.start("tfgates.actions.train", TrainConfig.from_flags)
