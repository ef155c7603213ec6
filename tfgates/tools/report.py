"""Writes a page of pictures and tables of a run, and of others beside it.

    python -m tfgates.tools.report --run=runs/demo --run=runs/plain

The page, RUN/report.html of the first run, is one file that needs no network; its pictures are in
RUN/report/ as PNG. The test images run through the first network once more, to see which gates
open for which classes.
"""

import pathlib

from absl import flags

from tfgates.base import command

flags.DEFINE_multi_string(
    "run", None, "The run folder; given again, another to compare it with.", required=True
)
flags.DEFINE_string("output", None, "The page; by default report.html of the first run.")
flags.DEFINE_string("data_dir", None, "Folder of the data sets, where it has moved.")

flags.register_validator("run", all, "is a run folder, as runs/NAME.")
flags.register_validator(
    "output",
    lambda path: path is None or pathlib.Path(path).suffix == ".html",
    "is a file that ends in .html, as report.html.",
)


if __name__ == "__main__":
    command.start("tfgates.actions.report")
