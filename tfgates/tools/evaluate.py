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
from tfgates.base.errors import UserError
from tfgates.data import datasets
from tfgates.export.savedmodel import is_threshold
from tfgates.network import gates, has_learned_gates
from tfgates.runs.data import open_data
from tfgates.runs.evaluate import evaluate_run, gain_of_run, thresholds_of_run
from tfgates.runs.folder import RunFolder
from tfgates.runs.model_card import write_card

RUN = flags.DEFINE_string("run", None, "The run folder.", required=True)
SPLIT = flags.DEFINE_enum("split", "test", ["test", "validation"], "Images of the first table.")
THRESHOLDS = flags.DEFINE_list(
    "thresholds",
    ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"],
    "Thresholds of the second table, in (0, 1); empty: none.",
)
GAIN = flags.DEFINE_boolean(
    "gain",
    False,
    "What is gained by looking at the image; takes about half as many passes over 1,000 images as "
    "the square of the number of gates.",
)
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the data sets, where it has moved.")

flags.register_validator("run", bool, "is a run folder, as runs/NAME.")


def main():
    run = RunFolder(RUN.value)
    taus = increasing(THRESHOLDS.value)
    _, _, preprocessing = run.load_data()
    classifier = run.load_classifier()
    run.warn_if_unfinished()
    network = classifier.network
    dataset = open_data(run, DATA_DIR.value)
    with datasets.readable(dataset):
        evaluate_run(run, network, dataset, preprocessing, SPLIT.value, classifier.target.final)
        if SPLIT.value == "test":
            write_card(run, network, dataset)
        if taus and has_learned_gates(network):
            thresholds_of_run(run, network, dataset, preprocessing, taus)
        if GAIN.value:
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


if __name__ == "__main__":
    command.run(main)
