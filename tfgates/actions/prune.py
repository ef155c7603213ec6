"""Decides for good where gates decide alike for nearly all images."""

import dataclasses
import shlex

import numpy as np
from absl import flags, logging

from tfgates.base.errors import UserError
from tfgates.base.files import replacing
from tfgates.base.lock import locked
from tfgates.base.progress import progress
from tfgates.data import datasets
from tfgates.data.batches import calibration_batches
from tfgates.graph.pruning import columns_of, expected, fully_decided, one_sided, prune
from tfgates.inference.exits import exit_columns
from tfgates.inference.rates import thresholded_rates
from tfgates.network import decision_names, num_gates
from tfgates.report.tables import gate_bars
from tfgates.runs.another_run import gate_kind
from tfgates.runs.before_after import compare
from tfgates.runs.data import open_data
from tfgates.runs.folder import RunFolder
from tfgates.runs.model_card import write_card
from tfgates.settings.flags import belonging_to
from tfgates.targets import AUTO
from tfgates.training.classifier import GatedClassifier
from tfgates.training.teacher import SELF

FLAGS = flags.FLAGS

CALIBRATION = 10_000
# What the network has brought along, and what belongs to the course of a longer training.
DROPPED = (
    *("init_from", "fresh_weights", "statistics", "warmup_epochs", "exit_units"),
    *belonging_to("gate"),
)


def main():
    # The session that is timed is TensorFlow's old one, and says so each time.
    logging.set_verbosity(logging.ERROR)
    run = RunFolder(FLAGS.run)
    pruned_run = RunFolder(FLAGS.output_dir or f"{run.path}-pruned")
    if pruned_run.path.exists():
        raise UserError(
            f"--output_dir is a new folder. Received: {pruned_run.path}, which is there already. "
            "Choose another."
        )
    _, _, preprocessing = run.load_data()
    trained = run.load_classifier().network
    run.warn_if_unfinished()
    dataset = open_data(run, FLAGS.data_dir)
    network = expected(trained)
    rates = measure(network, dataset, preprocessing)
    fixed = fully_decided(network, one_sided(rates, FLAGS.min_rate))
    if network is trained and not fixed:
        raise UserError(nothing_left(rates))
    pruned = prune(network, fixed)
    gone = {*fixed, *exit_columns(network)}
    left = [rate for gate, rate in enumerate(rates) if gate not in gone]
    # What runs today shall run after more training; exits keep their --exit_target.
    target_rate = round(float(np.mean(left)), 4) if left else 1.0
    with locked(pruned_run.path):
        save(pruned_run, run, pruned, dataset, preprocessing, target_rate)
        print(f"\n{what_went(trained, fixed)}\n", flush=True)
        text, measured = compare(network, pruned, dataset, preprocessing, FLAGS.tau)
        policy = f"threshold {FLAGS.tau:g}" if num_gates(pruned) else "no gates"
        measured = dataclasses.replace(measured, policy=policy)
        write_card(pruned_run, pruned, dataset, ("validation", [measured]))
    print(f"\n{text}\n")
    print(f"Run folder: {pruned_run.path}. To train it further:\n  {to_train_further(pruned_run)}")


def measure(network, dataset, preprocessing):
    """Returns the rate of each gate on training images, and prints them."""
    if not num_gates(network):
        return []
    count = min(CALIBRATION, dataset.size("train"))
    print(
        f"Rates at tau {FLAGS.tau:g} on {count} of {dataset.size('train')} training images "
        f"({dataset.splits['train']}, the first in the order of seed 0), without augmentation.",
        flush=True,
    )
    images = calibration_batches(dataset, preprocessing, count)
    with datasets.readable(dataset), progress("Measuring the gates", "images", count) as show:
        rates = thresholded_rates(network, images, FLAGS.tau, show)
    print(gate_bars(rates, decision_names(network)), flush=True)
    return rates


def nothing_left(rates):
    """Says why nothing can be pruned, and what would help."""
    if not len(rates):
        return f"Nothing is left to prune: {FLAGS.run} is a network without gates."
    rarer = np.minimum(rates, 1 - rates)
    gate = int(np.argmin(rarer))
    return (
        f"Nothing is left to prune: each of the {len(rates)} gates of {FLAGS.run} decides by the "
        f"image, gate {gate:02d} the least, unlike the others for {rarer[gate]:.4f} of the images. "
        f"Received: --min_rate={FLAGS.min_rate:g}. Pass more to lose some accuracy."
    )


def save(folder, run, network, dataset, preprocessing, target_rate):
    """Writes the run folder: the model last, so that a folder with one is whole."""
    folder.write_data(dataset, preprocessing, run.load_statistics())
    settings = {
        "dataset": dataset.name,
        "image_size": preprocessing.size,
        "resize": preprocessing.resize,
        **kept_flags(run, gate_kind(network)),
        "output_dir": folder.path,
        "network": f"run:{folder.path}",
        "gate": gate_kind(network),
        "target_rate": target_rate,
    }
    if FLAGS.data_dir is not None:
        settings["data_dir"] = FLAGS.data_dir
    with replacing(folder.flags) as file:
        file.writelines(f"--{name}={value}\n" for name, value in settings.items())
    folder.save_classifier(GatedClassifier(network, target_rate=target_rate), folder.model)


def kept_flags(run, kind):
    """The flags of a run that hold for its pruned network, of a kind of gates or "none"."""
    flags = {name: value for name, value in run.load_flags().items() if name not in DROPPED}
    if kind != "none":
        return flags
    # Without gates nothing is drawn to a target, and a network has nothing to learn of itself.
    gone = {"target_weight"} if flags.get("target_weight") == AUTO else set()
    if flags.get("teacher") == SELF:
        gone |= {"teacher", "teacher_weight", "teacher_temperature"}
    return {name: value for name, value in flags.items() if name not in gone}


def what_went(network, fixed):
    """Names the branches by what became of them.

    Args:
        network: before the pruning.
        fixed: decisions that were made, bool by column of the gate.
    """
    became: dict[str, list[str]] = {
        "Gone": [],
        "Always run": [],
        "Filters sliced": [],
        "Gate left": [],
    }
    for layer, columns in columns_of(network):
        learned = getattr(layer.gate, "learned", True)
        opened = [fixed.get(column, not learned) for column in columns]
        if learned and not set(columns) <= set(fixed):
            kind = "Gate left"
        elif all(opened):
            kind = "Always run"
        else:
            kind = "Filters sliced" if any(opened) else "Gone"
        became[kind].append(layer.name)
    return "\n".join(f"{kind}: {', '.join(names) or 'none'}." for kind, names in became.items())


def to_train_further(run):
    """Returns a command that trains a pruned run at a low learning rate."""
    tuned = run.path.with_name(f"{run.path.name.removesuffix('-pruned')}-tuned")
    folders = f"--flagfile={run.flags}", f"--output_dir={tuned}"
    course = "--epochs=2", "--decay_epochs=1", "--learning_rate=0.01"
    return shlex.join(["python", "train.py", *folders, *course])
