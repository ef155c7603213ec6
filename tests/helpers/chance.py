"""Draws that differ at each run of the tests, and that can be repeated."""

import os
import random
import secrets

SEED = "TFGATES_TEST_SEED"


def drawn():
    """Returns a `random.Random` of a new seed, or of that in the environment; prints the seed.

    Python's own draws are the same in every test: each of them starts from one seed.
    """
    seed = int(os.environ.get(SEED) or secrets.randbits(32))
    print(f"Again with {SEED}={seed}.")
    return random.Random(seed)
