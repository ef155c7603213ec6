"""Prunes a run: gates that decide alike for nearly all images are decided for good.

    python -m tfgates.tools.prune --run=runs/demo

Measures the gates on training images, writes the smaller network as a new run folder, and prints
what that saves and what it costs. The tools take the folder like any other, and train.py trains it
further. Independent gates, which decide alike for all images, go altogether.
"""

from absl import flags

from tfgates.base import command
from tfgates.base.threshold import is_threshold

flags.DEFINE_string("run", None, "The run folder.", required=True)
flags.DEFINE_string("output_dir", None, "The new run folder; by default RUN-pruned.")
flags.DEFINE_float("tau", 0.5, "A gate opens where its probability is greater.")
flags.DEFINE_float(
    "min_rate",
    0.001,
    "A gate goes where at most this share of the training images decides unlike the others.",
)
flags.DEFINE_string("data_dir", None, "Folder of the data sets, where it has moved.")

flags.register_validator("run", bool, "is a run folder, as runs/NAME.")
flags.register_validator(
    "output_dir", lambda path: path != "", "is a new folder, as runs/NAME-pruned."
)
flags.register_validator("tau", is_threshold, "is a probability in (0, 1), as 0.5.")
flags.register_validator(
    "min_rate", lambda value: 0 <= value <= 0.5, "is a share of the images in [0, 0.5], as 0.001."
)


if __name__ == "__main__":
    command.start("tfgates.actions.prune")
