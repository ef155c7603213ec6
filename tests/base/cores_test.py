"""The cores are those that the process may use, as under taskset or in a container."""

import textwrap

from examples import run_script

ON_ONE = """
    import os

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from tfgates_server import batching
    from tfgates_server import model

    from tfgates.export import timing as served
    from tfgates.base import timing
    from tfgates.runs import sweep

    print(batching.Batching().threads, model.session_config().inter_op_parallelism_threads)
    print(served.WIDE, sweep.CORES, timing.hardware().split(" of ")[0])
"""


def test_a_process_on_one_core_counts_one():
    ran = run_script("-c", textwrap.dedent(ON_ONE))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["1 1", "(1, 1) 1 1 core"]
