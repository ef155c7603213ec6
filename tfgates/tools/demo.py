"""Trains a small network in minutes, exports it, serves it, and classifies eight test images.

    tfgates demo
    python serving/demo.py --run=runs/demo

The first trains by flags/demo.cfg, into runs/demo; with --run a run that has an export is served.
"""

from absl import flags

from tfgates.base import command

flags.DEFINE_string(
    "run", None, "A run folder with an export; unset: runs/demo is trained and exported first."
)
flags.DEFINE_string("data_dir", None, "Folder of the data sets, where it has moved.")

flags.register_validator("run", lambda path: path != "", "is a run folder, as runs/NAME.")


if __name__ == "__main__":
    command.start("tfgates.actions.demo")
