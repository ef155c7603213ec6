"""The runs of benchmarks/cifar10.py: their flags, their folders, what is measured of each."""

import csv
import dataclasses
import math
import pathlib

from absl import flags

from benchmarks import rows
from benchmarks.cifar_networks import FILES, STATISTICS, load, zero_padded_resnet
from tfgates.base.files import put_in_place
from tfgates.graph.branches import branches
from tfgates.inference.calibration import find_shift
from tfgates.inference.evaluate import evaluate_thresholds
from tfgates.network import num_gates
from tfgates.runs.data import evaluation_images, open_data
from tfgates.runs.folder import RunFolder
from tfgates.runs.grid import read_point

RESULTS = pathlib.Path(__file__).with_name("results") / "cifar10.csv"
TIMES = RESULTS.with_name("cifar10_times.csv")
# A network without gates has none of the flags of a target.
PLAIN = {"gate": "none", "target_unit": "branches"}
GATED_DEPTH = 32


class Runs:
    """Makes the settings of runs, trains those that have no row, and names their rows.

    Args:
        weights: folder of resnet20.safetensors and so on.
        tune_epochs: epochs of the first tuning.
        jobs: runs at a time.
    """

    def __init__(self, weights, tune_epochs, jobs):
        self.jobs, self.tune_epochs = jobs, tune_epochs
        self.weights = pathlib.Path(weights)
        self.folder = pathlib.Path(flags.FLAGS.output_dir)
        self._shares = {}

    def tune(self, depths):
        """Tunes each network to the images, and keeps it as a model of Keras that arms begin with.

        One that is there is not tuned again.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [depth for depth in depths if not self._model(depth).exists()]
        runs = {depth: self._tuning(depth) for depth in missing}
        rows.train_here(list(runs.values()), self.jobs)
        for depth, one in runs.items():
            _keep(RunFolder(one.output_dir).load_classifier().network, self._model(depth))

    def _tuning(self, depth):
        path = self.folder / f"resnet{depth}.keras"
        if not path.exists():
            model = zero_padded_resnet(depth)
            load(model, self.weights / f"resnet{FILES[depth]}.safetensors")
            _keep(model, path)
        values = {"network": f"model:{path}", "statistics": STATISTICS, **PLAIN}
        _, one = self._run("", {**values, "epochs": self.tune_epochs, "seed": 1}, {})
        return dataclasses.replace(one, output_dir=str(self._tuned(depth)))

    def plain(self, depth, seed, teacher=0):
        """Returns labels and `TrainConfig` of a plain network that is trained further."""
        values = {**self._begun(depth), **PLAIN, **self._taught(teacher), "seed": seed}
        labels = {"arm": f"plain {depth}", "target": "", "teacher": teacher, "seed": seed}
        return self._run(f"plain{depth}{_suffix(teacher, seed)}", values, labels)

    def nested(self, seed):
        """Returns labels and `TrainConfig` of the short path that is trained inside of a network.

        It skips six of fifteen branches, two fifths of the multiply-adds.
        """
        values = {**self._begun(GATED_DEPTH), **PLAIN, "gate": "nested", "seed": seed}
        labels = {"arm": "nested", "target": "0.6", "teacher": 0, "seed": seed}
        return self._run(f"nested{_suffix(0, seed)}", values, labels)

    def gated(self, kind, target, weight, seed, teacher=0):
        """Returns labels and `TrainConfig` of a gated network.

        Args:
            kind: of gates, "dependent" or "independent".
            target: share of the multiply-adds of the plain network, text.
            weight: of the target loss, lambda.
            seed: of the run.
            teacher: depth of its teacher; 0: none.
        """
        values = {**self._gated(kind, target, weight, seed), **self._taught(teacher)}
        name = f"{kind},target={target},lambda={weight}{_suffix(teacher, seed)}"
        labels = {"arm": kind, "target": target, "teacher": teacher, "seed": seed}
        return self._run(name, values, {**labels, "lambda": weight})

    def with_part(self, part, target, weight, seed):
        """Returns the same of a network with dependent gates and one flag more.

        Args:
            part: FLAG=VALUE.
            target, weight, seed: as of `gated`.
        """
        labels, _ = self.gated("dependent", target, weight, seed)
        flag, value = part.split("=")
        name = f"{part},target={target},lambda={weight}{_suffix(0, seed)}"
        values = {**self._gated("dependent", target, weight, seed), flag: value}
        return self._run(name, values, {**labels, "arm": part})

    def train(self, runs):
        """Trains runs, pairs of labels and `TrainConfig`; returns their rows with the labels."""
        found = rows.train(RESULTS, [one for _, one in runs], self.jobs, _measured)
        return [{**labels, **found[one.output_dir]} for labels, one in runs]

    def _gated(self, kind, target, weight, seed):
        return {
            **self._begun(GATED_DEPTH),
            "gate": kind,
            "target_rate": f"{self._rate(float(target)):.4f}",
            "target_weight": weight,
            "seed": seed,
        }

    def _run(self, name, values, labels):
        point = read_point({flag: str(value) for flag, value in values.items()})
        return labels, dataclasses.replace(point.settings, output_dir=str(self.folder / name))

    def _begun(self, depth):
        return {"network": f"model:{self._model(depth)}", "statistics": "raw"}

    def _taught(self, depth):
        return {"teacher": f"run:{self._tuned(depth)}"} if depth else {}

    def _tuned(self, depth):
        return self.folder / f"tuned{depth},epochs={self.tune_epochs}"

    def _model(self, depth):
        return self.folder / f"{self._tuned(depth).name}.keras"

    def _rate(self, target):
        """The share of what is behind gates that leaves a share of the whole plain network."""
        if not self._shares:
            model = zero_padded_resnet(GATED_DEPTH)
            self._shares["behind"] = sum(branch.share for branch in branches(model))
        return 1 - (1 - target) / self._shares["behind"]


def read_times():
    """Returns milliseconds by run and batch; none where nothing is timed yet."""
    if not TIMES.exists():
        return {}
    with TIMES.open(newline="") as file:
        lines = list(csv.DictReader(file))
    return {(line["run"], int(line["batch"])): float(line["milliseconds"]) for line in lines}


def _suffix(teacher, seed):
    return f"{f',teacher={teacher}' if teacher else ''},seed={seed}"


def _keep(model, path):
    unfinished = path.with_name(f"unfinished-{path.name}")
    model.save(unfinished)
    put_in_place(unfinished, path)


def _measured(one):
    """What the row of a run has beside the results of the threshold 0.5 on the test images.

    That is the same on the validation images, and at the threshold with which the multiply-adds of
    those are the target's: its error and multiply-adds on the test images.
    """
    run = RunFolder(one.output_dir)
    classifier = run.load_classifier()
    network, target = classifier.network, classifier.target
    dataset, (_, _, preprocessing) = open_data(run), run.load_data()
    images = {
        split: evaluation_images(dataset, split, preprocessing) for split in ("validation", "test")
    }
    tau = 0.5
    if num_gates(network):
        shift, _, _ = find_shift(network, images["validation"], target.final, target.weights)
        tau = 1 / (1 + math.exp(shift))
    (half,) = evaluate_thresholds(network, images["validation"], [0.5])
    (found,) = evaluate_thresholds(network, images["test"], [tau])
    return {
        "validation_error": half.top1_error,
        "validation_macs": half.macs,
        "tau": tau,
        "calibrated_error": found.top1_error,
        "calibrated_macs": found.macs,
    }
