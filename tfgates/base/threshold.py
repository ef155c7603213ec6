"""What a threshold of gates is."""

import numpy as np


def is_threshold(tau):
    """Whether a number lies in (0, 1) as the float32 that an exported graph holds."""
    return bool(0 < np.float32(tau) < 1)
