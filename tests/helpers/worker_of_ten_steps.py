"""A worker of multiworker_test.py: trains ten steps and saves what came of it."""

import sys

import numpy as np
from trained import trained_weights

from tfgates.base.errors import UserError
from tfgates.noise import replica_index
from tfgates.training import workers
from tfgates.training.strategy import make_strategy


def agree(strategy, text):
    """Whether all workers pass the same text."""
    try:
        workers.check_agreement(strategy, text)
    except UserError:
        return False
    return True


if __name__ == "__main__":
    target_loss, path = sys.argv[1:]
    strategy = make_strategy("multiworker")
    weights, log = trained_weights(strategy, target_loss)
    np.savez(
        path,
        *weights,
        **{name: values[-1] for name, values in log.items()},
        replica=strategy.run(replica_index),
        chief=workers.is_chief(strategy),
        agreed=[agree(strategy, "the same"), agree(strategy, path)],
    )
