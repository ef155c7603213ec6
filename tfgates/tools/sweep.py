"""Trains many runs: every combination of some values of train.py's flags; resumes; tabulates.

    python -m tfgates.tools.sweep --flagfile=flags/demo.cfg --output_dir=runs/sweep \\
        --grid="gate=dependent,independent target_rate=0.4,0.6 seed=1,2,3"

Every other flag is one of train.py. The same command again goes on where it was broken off:
finished runs are only read. Writes a row for each run to OUTPUT_DIR/sweep.csv as it ends, and
prints their table, over the seeds the mean and standard deviation.
"""

from absl import flags

import tfgates.settings.flags
from tfgates.base import command

tfgates.settings.flags.define_flags()
flags.adopt_module_key_flags(tfgates.settings.flags)
flags.DEFINE_multi_string(
    "grid", [], "Flags of train.py and their values: gate=dependent,independent seed=1,2,3."
)
flags.DEFINE_integer(
    "jobs", 1, "Runs at a time, which divide the cores between them.", lower_bound=1
)


if __name__ == "__main__":
    command.start("tfgates.actions.sweep")
