"""Exports a trained network to a SavedModel that skips closed branches.

    python -m tfgates.tools.export --run=runs/demo
    python -m tfgates.tools.export --run=runs/a --run=runs/b --budget_macs=20e6

Writes the next version to RUN/export/, for TensorFlow Serving or serving/server.py. A budget
chooses the threshold, and of several runs the one, with the lowest error on the validation images.
"""

from absl import flags

from tfgates.base import command
from tfgates.base.threshold import is_threshold
from tfgates.settings.choices import DECODERS, DEVICES, SKIPS, WEIGHTS

flags.DEFINE_multi_string(
    "run", None, "The run folder; with a budget several, to choose among.", required=True
)
flags.DEFINE_float("budget_macs", None, "Mean multiply-adds of an image to choose --tau by.")
flags.DEFINE_float(
    "budget_ms",
    None,
    "Mean milliseconds of an image to choose --tau by, one image at a time on this machine.",
)
flags.DEFINE_enum(
    "skip",
    "auto",
    ["auto", *SKIPS],
    "loop: image by image, best for large branches; gather: branch by branch, best for small ones; "
    "none: compute closed branches all the same; auto: by --device and the size of the branches. "
    "python -m tfgates.tools.bench measures them.",
)
flags.DEFINE_enum(
    "device",
    "cpu",
    DEVICES,
    "What serves the model, which --skip=auto asks for. Of gpu it takes none: an accelerator waits "
    "for a decision longer than for the branch, as far as is known; it is not yet measured.",
)
flags.DEFINE_enum("weights", "const", WEIGHTS, "const: fastest; variables: less memory, slower.")
flags.DEFINE_enum(
    "decode",
    "robust",
    DECODERS,
    "robust: a bad image has its own status; strict: it fails its whole request, which saves about "
    "1 ms.",
)
flags.DEFINE_float(
    "tau", 0.5, "A branch runs where its probability is greater; predict_tau takes one per image."
)
flags.DEFINE_float(
    "exit_tau",
    0.5,
    "Of early exits: an image goes on where the probability of that is greater; predict_exit_tau "
    "takes one per image.",
)
flags.DEFINE_float(
    "fix_collapsed",
    None,
    "Fix the gates that are open, or closed, for at least this share of the validation images, as "
    ".999: a little faster; changes the decision of the other images.",
    lower_bound=0.5,
    upper_bound=1.0,
)
flags.DEFINE_integer("top_k", 5, "Classes in an answer.", lower_bound=1)
flags.DEFINE_integer("version", None, "Its number; unset: the next.", lower_bound=1)
flags.DEFINE_string("data_dir", None, "With a budget or --fix_collapsed: where data sets moved to.")

flags.register_validator("run", all, "is a run folder, as runs/NAME.")
for name in ("tau", "exit_tau"):
    flags.register_validator(name, is_threshold, "is a probability in (0, 1), as 0.5.")
for name in ("budget_macs", "budget_ms"):
    flags.register_validator(
        name, lambda value: value is None or value > 0, "is a number above 0, as 20e6 or 1.5."
    )


if __name__ == "__main__":
    command.start("tfgates.actions.export")
