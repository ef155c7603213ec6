"""How many cores this process may use."""

import os

# Not `os.cpu_count`, which also counts those that taskset or a container keeps from it.
CORES = len(os.sched_getaffinity(0))
