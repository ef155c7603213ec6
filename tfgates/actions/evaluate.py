"""Evaluates a network under every policy, and over the threshold."""

from absl import flags

from tfgates.base.errors import UserError
from tfgates.base.threshold import is_threshold
from tfgates.data import datasets
from tfgates.network import gates, has_learned_gates
from tfgates.runs.data import open_data
from tfgates.runs.evaluate import evaluate_run, gain_of_run, thresholds_of_run
from tfgates.runs.folder import RunFolder
from tfgates.runs.model_card import write_card

FLAGS = flags.FLAGS


def main():
    run = RunFolder(FLAGS.run)
    taus = increasing(FLAGS.thresholds)
    _, _, preprocessing = run.load_data()
    classifier = run.load_classifier()
    run.warn_if_unfinished()
    network = classifier.network
    dataset = open_data(run, FLAGS.data_dir)
    with datasets.readable(dataset):
        evaluate_run(run, network, dataset, preprocessing, FLAGS.split, classifier.target.final)
        if FLAGS.split == "test":
            write_card(run, network, dataset)
        if taus and has_learned_gates(network):
            thresholds_of_run(run, network, dataset, preprocessing, taus)
        if FLAGS.gain:
            require_sight(network)
            gain_of_run(run, network, dataset, preprocessing)


def require_sight(network):
    """Refuses a network none of whose gates looks at the image."""
    if not any(getattr(layer.gate, "data_dependent", True) for layer in gates(network)):
        raise UserError(
            "--gain is what gates gain by looking at the image. Received: a network none of whose "
            "gates does. Leave it out."
        )


def increasing(texts):
    """Returns the thresholds as increasing numbers; refuses others than those in (0, 1)."""
    try:
        taus = sorted(float(text) for text in texts)
    except ValueError:
        taus = [0.0]
    if any(not is_threshold(tau) for tau in taus):
        raise UserError(
            f"--thresholds are probabilities in (0, 1), as 0.3,0.5. Received: {','.join(texts)}."
        )
    return taus
