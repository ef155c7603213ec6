"""Exports a trained network to a SavedModel that skips closed blocks.

    python -m tfgates.tools.export --run=runs/demo

Writes the next version to RUN/export/, for TensorFlow Serving or serving/server.py.
"""

from absl import flags

from tfgates import command
from tfgates.errors import UserError
from tfgates.export import card, warmup
from tfgates.export.decode import DECODERS
from tfgates.export.publish import megabytes, publish
from tfgates.export.savedmodel import WEIGHTS, ServedModel, is_threshold
from tfgates.export.skipping import SKIPS
from tfgates.results import collapsed_gates, measured_at, open_data
from tfgates.run_folder import RunFolder

RUN = flags.DEFINE_string("run", None, "The run folder.", required=True)
SKIP = flags.DEFINE_enum(
    "skip",
    "auto",
    ["auto", *SKIPS],
    "loop: image by image, best for large blocks; gather: block by block, best for small ones; "
    "none: compute closed blocks all the same; auto: loop or gather by the size of the blocks. "
    "python -m tfgates.tools.bench measures them.",
)
WEIGHTS_IN = flags.DEFINE_enum(
    "weights", "const", WEIGHTS, "const: fastest; variables: less memory, slower."
)
DECODE = flags.DEFINE_enum(
    "decode",
    "robust",
    list(DECODERS),
    "robust: a bad image has its own status; strict: it fails its whole request, which saves about "
    "1 ms.",
)
TAU = flags.DEFINE_float(
    "tau", 0.5, "A block runs where its probability is greater; predict_tau takes one per image."
)
FIX = flags.DEFINE_float(
    "fix_collapsed",
    None,
    "Fix the gates that are open, or closed, for at least this share of the validation images, as "
    ".999: a little faster; changes the decision of the other images.",
    lower_bound=0.5,
    upper_bound=1.0,
)
TOP_K = flags.DEFINE_integer("top_k", 5, "Classes in an answer.", lower_bound=1)
VERSION = flags.DEFINE_integer("version", None, "Its number; unset: the next.", lower_bound=1)
DATA_DIR = flags.DEFINE_string("data_dir", None, "With --fix_collapsed: where data sets moved to.")

flags.register_validator("run", bool, "is a run folder, as runs/NAME.")
flags.register_validator("tau", is_threshold, "is a probability in (0, 1), as 0.5.")


def main():
    run = RunFolder(RUN.value)
    dataset_name, labels, preprocessing = run.load_data()
    network = run.load_classifier().network
    run.warn_if_unfinished()
    if len(labels) != network.num_classes:
        raise UserError(
            f"{run.data} names {len(labels)} labels and {run.model} knows {network.num_classes} "
            "classes. Train the run again, or name another folder."
        )
    fixed = {}
    if FIX.value is not None and network.num_gates:
        dataset = open_data(run, DATA_DIR.value)
        fixed = collapsed_gates(network, dataset, preprocessing, TAU.value, FIX.value)
    model = ServedModel(
        network,
        preprocessing,
        labels,
        tau=TAU.value,
        top_k=TOP_K.value,
        skip=SKIP.value,
        weights=WEIGHTS_IN.value,
        decode=DECODE.value,
        fixed=fixed,
    )
    trained = {"dataset": dataset_name, "flags": run.load_flags()}
    measured = measured_at(run, TAU.value)
    if measured is not None:
        measured["before_fixing"] = bool(fixed)
    about = card.describe(model, network, trained, measured)
    extras = {
        "tfgates.json": card.as_json(about),
        "model_card.md": card.as_markdown(about),
        warmup.FILE: warmup.requests(preprocessing.size, TAU.value),
    }
    version = publish(model, run.export, VERSION.value, extras)
    show(version, model)


def show(version, model):
    """Prints what was exported."""
    print(f"Exported {version} ({megabytes(version):.1f} MB), skip: {model.skip}.")
    if model.fixed:
        opened = [f"{gate:02d}" for gate, decision in sorted(model.fixed.items()) if decision]
        closed = [f"{gate:02d}" for gate, decision in sorted(model.fixed.items()) if not decision]
        print(f"Open for good: {', '.join(opened) or 'none'}; gone: {', '.join(closed) or 'none'}.")


if __name__ == "__main__":
    command.run(main)
