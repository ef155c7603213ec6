"""Serves the export of a run, classifies eight test images with the client, and stops.

python serving/demo.py --run=runs/demo
"""

from absl import flags

from tfgates.base import command

flags.DEFINE_string("run", None, "The run folder, with an export.", required=True)
flags.DEFINE_string("data_dir", None, "Folder of the data sets, where it has moved.")

flags.register_validator("run", bool, "is a run folder, as runs/NAME.")


if __name__ == "__main__":
    command.start("tfgates.work.demo")
