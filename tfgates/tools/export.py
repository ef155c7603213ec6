"""Exports a trained network to a SavedModel that skips closed blocks.

    python -m tfgates.tools.export --run=runs/demo

Writes the next version to RUN/export/, for TensorFlow Serving or serving/server.py.
"""

from absl import flags

from tfgates import command
from tfgates.errors import UserError
from tfgates.export.savedmodel import ServedModel, is_threshold, publish
from tfgates.run_folder import RunFolder

RUN = flags.DEFINE_string("run", None, "The run folder.", required=True)
TAU = flags.DEFINE_float(
    "tau", 0.5, "A block runs where its probability is greater; predict_tau takes one per image."
)
TOP_K = flags.DEFINE_integer("top_k", 5, "Classes in an answer.", lower_bound=1)

flags.register_validator("run", bool, "is a run folder, as runs/NAME.")
flags.register_validator("tau", is_threshold, "is a probability in (0, 1), as 0.5.")


def main():
    run = RunFolder(RUN.value)
    _, labels, preprocessing = run.load_data()
    network = run.load_classifier().network
    run.warn_if_unfinished()
    if len(labels) != network.num_classes:
        raise UserError(
            f"{run.data} names {len(labels)} labels and {run.model} knows {network.num_classes} "
            "classes. Train the run again, or name another folder."
        )
    model = ServedModel(network, preprocessing, labels, tau=TAU.value, top_k=TOP_K.value)
    version = publish(model, run.export)
    megabytes = sum(path.stat().st_size for path in version.rglob("*")) / 1e6
    print(f"Exported {version} ({megabytes:.1f} MB): closed blocks are skipped, image by image.")


if __name__ == "__main__":
    command.run(main)
