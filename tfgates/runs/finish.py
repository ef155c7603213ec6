"""What comes after the last epoch: the kept weights, batch norm recalibrated, the results."""

from tfgates.base.errors import UserError
from tfgates.base.progress import progress
from tfgates.graph.nesting import path
from tfgates.inference.calibration import find_shift
from tfgates.network import gates, num_gates
from tfgates.report.rates import rates_over_training, target_of_rates
from tfgates.report.style import save_png
from tfgates.runs.data import evaluation_images, training_batches
from tfgates.runs.evaluate import evaluate_run
from tfgates.runs.model_card import write_card
from tfgates.runs.rates import read_rates
from tfgates.training import checkpoint
from tfgates.training.classifier import GatedClassifier
from tfgates.training.logs import best_epoch
from tfgates.training.recalibrate import recalibrate


def finish(settings, dataset, preprocessing, run):
    """Makes the model of a trained run and evaluates it: a table, bars, files, a picture.

    Args:
        settings: `TrainConfig`.
        dataset: `ImageDataset` or `FolderDataset`.
        preprocessing: `Preprocessing`.
        run: `RunFolder` with the model of the last epoch.

    Raises:
        UserError: the best epoch is to be kept and its weights are lost.
    """
    classifier = run.load_classifier(run.trained)
    if settings.keep == "best":
        # A run that was killed right after its last epoch has not come to it.
        checkpoint.keep_best(run.checkpoints, run.log)
        best, weights = best_weights(run)
        print(f"Keeping epoch {best}, the best on the validation images.", flush=True)
        checkpoint.load(weights, classifier)
    if settings.recalibration_batches:
        _recalibrate(classifier.network, settings, dataset, preprocessing)
    if settings.calibrate:
        _calibrate(classifier, dataset, preprocessing)
    if classifier.nested:
        # From here on it is a plain network.
        classifier = GatedClassifier(path(classifier.network, settings.path))
    run.save_classifier(classifier, run.model)
    run.trained.unlink()
    network = classifier.network
    evaluate_run(run, network, dataset, preprocessing, "test", classifier.target.final)
    write_card(run, network, dataset)
    if num_gates(network):
        _draw(run, classifier.target.final)


def best_weights(run):
    """Finds the epoch with the best validation accuracy, and the file of its weights.

    Raises:
        UserError: they are lost.
    """
    best = best_epoch(run.log)
    for kind in ("best", "epoch"):
        path = checkpoint.files(run.checkpoints, kind).get(best)
        if path is not None:
            return best, path
    raise UserError(
        f"{run.checkpoints} lacks the weights of epoch {best}, the best one in {run.log}. "
        "Pass --keep=last to make the model of the last epoch."
    )


def _recalibrate(network, settings, dataset, preprocessing):
    total = settings.recalibration_batches
    size = min(settings.recalibration_batch_size, dataset.size("train"))
    images = training_batches(
        settings,
        dataset,
        preprocessing,
        batch_size=size,
        steps_per_epoch=total,
        # An order of its own, the one after the last epoch.
        first_epoch=settings.epochs,
        epochs=settings.epochs + 1,
    )
    task = f"Recalibrating batch norm on {total} batches of {size} images"
    with progress(task, "batches", total) as show:
        recalibrate(network, images, show)


def _calibrate(classifier, dataset, preprocessing):
    """Shifts the gates so that they run the target at the threshold, on the validation images."""
    network, target = classifier.network, classifier.target
    fixed = [layer.name for layer in gates(network) if not hasattr(layer.gate, "shift")]
    if fixed:
        raise UserError(
            "--calibrate shifts the log-odds of all gates. Received: gates without `shift`, "
            f"{', '.join(fixed[:5])}. Leave it out, and choose a threshold (tools.evaluate)."
        )
    images = evaluation_images(dataset, "validation", preprocessing)
    task = f"Calibrating on {dataset.size('validation')} validation images"
    with progress(task, "passes") as show:
        shift, before, after = find_shift(
            network, images, target.final, target.weights, progress=show
        )
    for layer in gates(network):
        layer.gate.shift(shift)
    print(
        f"Calibrated: {shift:+.3f} on all log-odds; at the threshold the share is {after:.4f} "
        f"instead of {before:.4f}, of a target of {target.final:g}.",
        flush=True,
    )


def _draw(run, target_rate):
    """Draws the rates over the training, where their log can be read."""
    try:
        rates = read_rates(run)
    except UserError as error:
        print(f"\nNo picture of the rates: {error}")
        return
    if rates is None:
        print(f"\nNo picture of the rates: {run.rates} and {run.log} are missing or empty.")
        return
    target = target_of_rates(run.load_flags(), target_rate)
    picture = rates_over_training(rates.positions, rates.unit, rates.values, target)
    save_png(picture.figure, run.picture)
    print(f"\nPicture of the rates over the training: {run.picture}")
