"""Times the ways of serving a run on this machine, and recommends one.

    python -m tfgates.tools.bench --run=runs/demo

Exports the run in each way to a temporary folder, and classifies validation images with each in
turn, beside the same network without gates as Keras itself exports it. Prints ratios of process CPU
time, which is what a busy server pays, and of wall time.
"""

from absl import flags

from tfgates.base import command
from tfgates.base.threshold import is_threshold

flags.DEFINE_string("run", None, "The run folder.", required=True)
flags.DEFINE_list("batches", ["1", "8", "32"], "Images in a request.")
flags.DEFINE_float("tau", 0.5, "Threshold of the gates.")
flags.DEFINE_integer("rounds", 9, "Rounds, in which all ways take turns.", lower_bound=2)
flags.DEFINE_integer("calls", 8, "Requests of each way in a round.", lower_bound=1)
flags.DEFINE_enum(
    "mixed_precision", "", ["", "bfloat16"], "As of the server; the plain network stays float32."
)
flags.DEFINE_string("data_dir", None, "Folder of the data sets, where it has moved.")

flags.register_validator("run", bool, "is a run folder, as runs/NAME.")
flags.register_validator("tau", is_threshold, "is a probability in (0, 1), as 0.5.")
flags.register_validator(
    "batches",
    lambda texts: texts and all(text.isdecimal() and int(text) > 0 for text in texts),
    "are numbers of images, as 1,8,32.",
)


if __name__ == "__main__":
    command.start("tfgates.actions.bench")
