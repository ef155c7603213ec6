"""Exports a network to a SavedModel."""

import pathlib

from absl import flags, logging

from tfgates.base.errors import UserError
from tfgates.export import card, warmup
from tfgates.export.publish import megabytes, publish
from tfgates.export.savedmodel import ServedModel
from tfgates.graph.pruning import expected
from tfgates.network import num_gates
from tfgates.report.card import of_export
from tfgates.report.tables import COLUMNS
from tfgates.runs.budget import choose
from tfgates.runs.data import open_data
from tfgates.runs.evaluate import collapsed_gates, measured_at
from tfgates.runs.folder import RunFolder

FLAGS = flags.FLAGS


def main():
    runs = [RunFolder(path) for path in dict.fromkeys(map(pathlib.Path, FLAGS.run))]
    check_budget(runs)
    if FLAGS.budget_macs is None and FLAGS.budget_ms is None:
        export(runs[0], FLAGS.tau, measured_at(runs[0], FLAGS.tau))
    else:
        if FLAGS.budget_ms is not None:
            # The session that is timed is TensorFlow's old one, and says so each time.
            logging.set_verbosity(logging.ERROR)
        options = {"skip": FLAGS.skip, "device": FLAGS.device}
        options |= {"weights": FLAGS.weights, "decode": FLAGS.decode}
        limits = {"macs": FLAGS.budget_macs, "milliseconds": FLAGS.budget_ms}
        run, chosen = choose(runs, FLAGS.data_dir, **limits, **options)
        measured = {column: getattr(chosen.result, column) for column in COLUMNS}
        export(run, chosen.tau, {"split": "validation", **measured})


def check_budget(runs):
    """Refuses flags that do not go together."""
    budgets = [
        f"--{name}={FLAGS[name].value:g}"
        for name in ("budget_macs", "budget_ms")
        if FLAGS[name].value is not None
    ]
    if not budgets and len(runs) > 1:
        raise UserError(
            "Several --run are for a choice within a budget. Received: "
            f"{', '.join(FLAGS.run)} without one. Pass --budget_macs or --budget_ms, or one --run."
        )
    others = [f"--{name}" for name in ("tau", "fix_collapsed") if FLAGS[name].present]
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
    if FLAGS.fix_collapsed is not None and num_gates(network):
        dataset = open_data(run, FLAGS.data_dir)
        fixed = collapsed_gates(network, dataset, preprocessing, tau, FLAGS.fix_collapsed)
    model = ServedModel(
        network,
        preprocessing,
        labels,
        tau=tau,
        exit_tau=FLAGS.exit_tau,
        top_k=FLAGS.top_k,
        skip=FLAGS.skip,
        device=FLAGS.device,
        weights=FLAGS.weights,
        decode=FLAGS.decode,
        fixed=fixed,
    )
    if model.exits and FLAGS.exit_tau != FLAGS["exit_tau"].default:
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
    version = publish(model, run.export, FLAGS.version, extras)
    show(version, model)


def show(version, model):
    """Prints what was exported."""
    print(f"Exported {version} ({megabytes(version):.1f} MB), skip: {model.skip}.")
    if model.fixed:
        opened = [f"{gate:02d}" for gate, decision in sorted(model.fixed.items()) if decision]
        closed = [f"{gate:02d}" for gate, decision in sorted(model.fixed.items()) if not decision]
        print(f"Open for good: {', '.join(opened) or 'none'}; gone: {', '.join(closed) or 'none'}.")
