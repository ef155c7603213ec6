"""Evaluates a run: prints its results, and records them in its folder."""

from tfgates.base.errors import UserError
from tfgates.base.progress import progress
from tfgates.data import datasets
from tfgates.graph.count import count
from tfgates.graph.pruning import one_sided
from tfgates.inference.evaluate import evaluate, evaluate_thresholds
from tfgates.inference.exits import evaluate_exits
from tfgates.inference.gain import measure_gain
from tfgates.network import decision_names, exits_of, has_learned_gates, num_gates
from tfgates.report import tables
from tfgates.report.comparison import COMPARED
from tfgates.report.rates import target_of_rates
from tfgates.report.style import looks_of, save_png
from tfgates.report.tradeoff import thresholds
from tfgates.runs.data import evaluation_images
from tfgates.runs.records import (
    Metrics,
    read_metrics,
    read_thresholds,
    write_exits,
    write_gain,
    write_metrics,
    write_thresholds,
)
from tfgates.training.tensorboard import write_hparams


def evaluate_run(run, network, dataset, preprocessing, split, target_rate):
    """Evaluates every policy, prints the table; of the test split, writes metrics.json and tb/.

    Args:
        run: `RunFolder`.
        network: its network.
        dataset: `ImageDataset` or `FolderDataset` it was trained on.
        preprocessing: `Preprocessing` it was trained with.
        split: "test" or "validation".
        target_rate: what it was trained towards, over all gates; recorded.
    """
    flags, images = run.load_flags(), evaluation_images(dataset, split, preprocessing)
    print()
    with progress(f"Evaluating on {dataset.size(split)} {split} images", "batches") as show:
        results = evaluate(network, images, show)
    print(f"\n{tables.policies(results)}\n")
    if num_gates(network):
        target = target_of_rates(flags, target_rate)
        aim = "" if target is None else f" (target {target:g})"
        print(f"Rate of each gate, {results[0].policy}{aim}:")
        print(tables.gate_bars(results[0].gate_rates, decision_names(network)))
    if exits_of(network):
        found = evaluate_exits(network, images)
        print(f"\nEarly exits, threshold 0.5:\n{tables.exits(found)}")
        if split == "test":
            write_exits(run, found)
    if split == "test":
        ungated = count(network, images.element_spec[0].shape[1:]).ungated
        metrics = Metrics(dataset.size("test"), target_rate, ungated, results)
        write_metrics(run, dataset.name, metrics)
        write_hparams(
            run.tensorboard / "test",
            str(run.path),
            {name: flags[name] for name in COMPARED if name in flags},
            {name: getattr(results[0], name) for name in tables.COLUMNS},
        )


def thresholds_of_run(run, network, dataset, preprocessing, taus):
    """Evaluates thresholds on the validation split; prints them, writes a table and a picture.

    Raises:
        UserError: the network has no gates.
    """
    if not has_learned_gates(network):
        raise UserError(f"{run.path} is a network without learned gates: it has no thresholds.")
    size = dataset.size("validation")
    print()
    with progress(f"Thresholds on {size} validation images", "batches") as show:
        results = validation_thresholds(network, dataset, preprocessing, taus, show)
    write_thresholds(run, results)
    name = str(run.path)
    picture = thresholds({name: results}, looks_of([name]))
    save_png(picture.figure, run.thresholds_picture)
    print(f"\n{tables.policies(results, 'tau')}\n")
    print(f"Written: {run.thresholds_table}, {run.thresholds_picture}")


def gain_of_run(run, network, dataset, preprocessing):
    """Measures what is gained by looking at the image; prints it, and records it."""
    validation, test = (
        evaluation_images(dataset, split, preprocessing) for split in ("validation", "test")
    )
    print()
    with progress("Deciding otherwise", "passes over images") as show:
        gain = measure_gain(network, validation, test, decision_names(network), progress=show)
    write_gain(run, gain)
    print(f"\n{tables.gain(gain)}\n\nWritten: {run.gain}")


def validation_thresholds(network, dataset, preprocessing, taus, show=None):
    """Evaluates thresholds on the validation split; one of a network without gates is any.

    Args:
        network: functional model.
        dataset: `ImageDataset` or `FolderDataset`.
        preprocessing: `Preprocessing`.
        taus: thresholds in (0, 1).
        show: what `tfgates.base.progress.progress` yields, for batches; or None.

    Returns:
        List of `Result`, one for each threshold.
    """
    with datasets.readable(dataset):
        images = evaluation_images(dataset, "validation", preprocessing)
        return evaluate_thresholds(network, images, taus, show)


def measured_at(run, tau):
    """Reads what was measured at a threshold: of the test images, else of the validation's.

    Args:
        run: `RunFolder`.
        tau: in (0, 1).

    Returns:
        dict of split, top1_error, top5_error, rate, macs and macs_share, or None where the model
        was not evaluated at this threshold.

    Raises:
        UserError: one of their files is damaged.
    """
    metrics = read_metrics(run)
    for index, one in enumerate(metrics.policies if metrics else ()):
        # Stochastic depth is served as it is evaluated first, with expected branches.
        own = index == 0 and one.policy in ("no gates", "expected")
        if own or one.policy == f"threshold {tau:g}":
            return _measured("test", one)
    for one in read_thresholds(run) or ():
        if float(one.policy) == tau:
            return _measured("validation", one)
    return None


def _measured(split, result):
    return {"split": split, **{name: getattr(result, name) for name in tables.COLUMNS}}


def collapsed_gates(network, dataset, preprocessing, tau, share):
    """Finds the gates that decide the same for nearly all validation images.

    Args:
        network: network with gates.
        dataset: the data set of its run.
        preprocessing: `Preprocessing` of its run.
        tau: threshold in (0, 1).
        share: of the images, in [0.5, 1], that have to agree.

    Returns:
        Their decision, bool by index of the gate.
    """
    size = dataset.size("validation")
    with progress(f"Rates on {size} validation images", "batches") as show:
        (found,) = validation_thresholds(network, dataset, preprocessing, [tau], show)
    return one_sided(found.gate_rates, 1 - share)
