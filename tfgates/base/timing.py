"""Times alternatives in turn, so that what the machine does meanwhile meets all of them."""

import itertools
import pathlib
import platform
import time

import numpy as np
import tabulate

from tfgates.base.cores import CORES


def interleaved(alternatives, rounds, calls, progress=None):
    """Times each alternative `calls` times in each of some rounds.

    Args:
        alternatives: functions without arguments, by name.
        rounds: number of rounds; in each of them all alternatives take turns.
        calls: calls of an alternative in a round.
        progress: function called with the number of timings done, an alternative in a round, and
            of all; or None.

    Returns:
        dict of name -> array [rounds, 2]: seconds of a call, process CPU time and wall time.
    """
    for run in alternatives.values():
        run()
        run()
    seconds: dict = {name: [] for name in alternatives}
    done = itertools.count(1)
    for _ in range(rounds):
        for name, run in alternatives.items():
            cpu, wall = time.process_time(), time.perf_counter()
            for _ in range(calls):
                run()
            passed = time.process_time() - cpu, time.perf_counter() - wall
            seconds[name].append(np.array(passed) / calls)
            if progress is not None:
                progress(next(done), rounds * len(alternatives))
    return {name: np.array(values) for name, values in seconds.items()}


def ratio(seconds, reference):
    """Formats median and quartiles of the ratios, round by round, of process CPU time."""
    low, median, high = np.percentile(seconds[:, 0] / reference[:, 0], [25, 50, 75])
    return f"{median:.3f} ({low:.3f}-{high:.3f})"


def table(rows, headers):
    """Formats a table, which is Markdown as well."""
    return tabulate.tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def hardware():
    """Names the processor and the cores that may be used, for the line above a table."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    cores = "1 core" if CORES == 1 else f"{CORES} cores"
    return f"{cores} of {names[0] if names else platform.processor()}"
