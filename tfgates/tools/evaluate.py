"""Evaluates a trained network under every policy of the paper, and over the threshold.

    python -m tfgates.tools.evaluate --run=runs/demo

Prints the columns of the paper's section S4 and, of the test split, writes RUN/metrics.json and
RUN/model_card.md; then errors and multiply-adds over the threshold on the validation split,
RUN/thresholds.csv and RUN/thresholds.png. With --gain it tells what is gained by looking at the
image: the error where decisions are dealt to other images, and that of the best fixed set of
branches of no more multiply-adds, RUN/gain.json.
"""

from absl import flags

from tfgates.base import command

flags.DEFINE_string("run", None, "The run folder.", required=True)
flags.DEFINE_enum("split", "test", ["test", "validation"], "Images of the first table.")
flags.DEFINE_list(
    "thresholds",
    ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"],
    "Thresholds of the second table, in (0, 1); empty: none.",
)
flags.DEFINE_boolean(
    "gain",
    False,
    "What is gained by looking at the image; takes about half as many passes over 1,000 images as "
    "the square of the number of gates.",
)
flags.DEFINE_string("data_dir", None, "Folder of the data sets, where it has moved.")

flags.register_validator("run", bool, "is a run folder, as runs/NAME.")


if __name__ == "__main__":
    command.start("tfgates.actions.evaluate")
