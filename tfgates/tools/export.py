"""Exports a trained network to a SavedModel that skips closed branches.

    python -m tfgates.tools.export --run=runs/demo
    python -m tfgates.tools.export --run=runs/a --run=runs/b --budget_macs=20e6

Writes the next version to RUN/export/, for TensorFlow Serving or serving/server.py. A budget
chooses the threshold, and of several runs the one, with the lowest error on the validation images.
"""

import pathlib

from absl import flags, logging

from tfgates.base import command
from tfgates.base.errors import UserError
from tfgates.export import card, warmup
from tfgates.export.decode import DECODERS
from tfgates.export.publish import megabytes, publish
from tfgates.export.savedmodel import WEIGHTS, ServedModel, is_threshold
from tfgates.export.skipping import DEVICES, SKIPS
from tfgates.graph.pruning import expected
from tfgates.network import num_gates
from tfgates.report.card import of_export
from tfgates.report.tables import COLUMNS
from tfgates.runs.budget import choose
from tfgates.runs.data import open_data
from tfgates.runs.evaluate import collapsed_gates, measured_at
from tfgates.runs.folder import RunFolder

RUNS = flags.DEFINE_multi_string(
    "run", None, "The run folder; with a budget several, to choose among.", required=True
)
BUDGET_MACS = flags.DEFINE_float(
    "budget_macs", None, "Mean multiply-adds of an image to choose --tau by."
)
BUDGET_MS = flags.DEFINE_float(
    "budget_ms",
    None,
    "Mean milliseconds of an image to choose --tau by, one image at a time on this machine.",
)
SKIP = flags.DEFINE_enum(
    "skip",
    "auto",
    ["auto", *SKIPS],
    "loop: image by image, best for large branches; gather: branch by branch, best for small ones; "
    "none: compute closed branches all the same; auto: by --device and the size of the branches. "
    "python -m tfgates.tools.bench measures them.",
)
DEVICE = flags.DEFINE_enum(
    "device",
    "cpu",
    DEVICES,
    "What serves the model, which --skip=auto asks for. Of gpu it takes none: an accelerator waits "
    "for a decision longer than for the branch, as far as is known; it is not yet measured.",
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
    "tau", 0.5, "A branch runs where its probability is greater; predict_tau takes one per image."
)
EXIT_TAU = flags.DEFINE_float(
    "exit_tau",
    0.5,
    "Of early exits: an image goes on where the probability of that is greater; predict_exit_tau "
    "takes one per image.",
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
DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "With a budget or --fix_collapsed: where data sets moved to."
)

flags.register_validator("run", all, "is a run folder, as runs/NAME.")
for name in ("tau", "exit_tau"):
    flags.register_validator(name, is_threshold, "is a probability in (0, 1), as 0.5.")
for name in ("budget_macs", "budget_ms"):
    flags.register_validator(
        name, lambda value: value is None or value > 0, "is a number above 0, as 20e6 or 1.5."
    )


def main():
    runs = [RunFolder(path) for path in dict.fromkeys(map(pathlib.Path, RUNS.value))]
    check_budget(runs)
    if BUDGET_MACS.value is None and BUDGET_MS.value is None:
        export(runs[0], TAU.value, measured_at(runs[0], TAU.value))
    else:
        if BUDGET_MS.value is not None:
            # The session that is timed is TensorFlow's old one, and says so each time.
            logging.set_verbosity(logging.ERROR)
        options = {"skip": SKIP.value, "device": DEVICE.value}
        options |= {"weights": WEIGHTS_IN.value, "decode": DECODE.value}
        limits = {"macs": BUDGET_MACS.value, "milliseconds": BUDGET_MS.value}
        run, chosen = choose(runs, DATA_DIR.value, **limits, **options)
        measured = {column: getattr(chosen.result, column) for column in COLUMNS}
        export(run, chosen.tau, {"split": "validation", **measured})


def check_budget(runs):
    """Refuses flags that do not go together."""
    budgets = [
        f"--{name}={flags.FLAGS[name].value:g}"
        for name in ("budget_macs", "budget_ms")
        if flags.FLAGS[name].value is not None
    ]
    if not budgets and len(runs) > 1:
        raise UserError(
            "Several --run are for a choice within a budget. Received: "
            f"{', '.join(RUNS.value)} without one. Pass --budget_macs or --budget_ms, or one --run."
        )
    others = [f"--{name}" for name in ("tau", "fix_collapsed") if flags.FLAGS[name].present]
    if budgets and len(budgets + others) > 1:
        raise UserError(
            "A budget chooses tau by itself, and there is one. Received: "
            f"{' and '.join(budgets + others)}. Leave all but one of them out."
        )


def export(run, tau, measured):
    """Writes the next version of a run.

    Args:
        run: `RunFolder`.
        tau: its threshold.
        measured: of the run at this threshold, for the model card; or None.
    """
    dataset_name, labels, preprocessing = run.load_data()
    network = expected(run.load_classifier().network)
    run.warn_if_unfinished()
    fixed = {}
    if FIX.value is not None and num_gates(network):
        dataset = open_data(run, DATA_DIR.value)
        fixed = collapsed_gates(network, dataset, preprocessing, tau, FIX.value)
    model = ServedModel(
        network,
        preprocessing,
        labels,
        tau=tau,
        exit_tau=EXIT_TAU.value,
        top_k=TOP_K.value,
        skip=SKIP.value,
        device=DEVICE.value,
        weights=WEIGHTS_IN.value,
        decode=DECODE.value,
        fixed=fixed,
    )
    if model.exits and EXIT_TAU.value != EXIT_TAU.default:
        # What was measured is of the usual threshold of exits.
        measured = None
    trained = {"dataset": dataset_name, "flags": run.load_flags()}
    if measured is not None:
        measured = {**measured, "before_fixing": bool(fixed)}
    about = card.describe(model, network, trained, measured)
    extras = {
        "tfgates.json": card.as_json(about),
        "model_card.md": of_export(about).encode(),
        warmup.FILE: warmup.of_model(model),
    }
    # The one step of which nobody can say how far it is.
    print(f"Exporting {run.path}, skip: {model.skip} ...", flush=True)
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
