"""Chooses k features together, by one gate on the inputs (the paper's section S1.1).

    pip install ".[examples]"
    python examples/choose_features.py --data=breast_cancer --k=2,5,10
    python examples/choose_features.py --data=digits --k=4,8,16 --seeds=1,2,3

Every feature has a gate that does not look at it, and the target rate is k of all n. The features
of the k greatest log-odds are chosen: a single training, whatever k is. Beside it stand the other
ways: by chance, the best by themselves, mutual information, L1, greedy search, and beam search
among those that are best by themselves, as Taskonomy does, of which the paper writes.

What any of them chooses is judged alike: logistic regression on these features alone, its accuracy
on test rows, which no method has seen. Searches compare it on validation rows. The tables come with
scikit-learn.
"""

import statistics

import keras
import numpy as np
from absl import flags
from sklearn import datasets, feature_selection, linear_model, model_selection, preprocessing

import tfgates
from tfgates.base import command
from tfgates.base.errors import UserError

DATA = {"breast_cancer": datasets.load_breast_cancer, "digits": datasets.load_digits}
BATCH, STEPS = 64, 2000
BEAM = 3


class Rows:
    """A table in three parts, standardized by its training rows, and regressions on it.

    Args:
        name: a key of `DATA`.
        seed: of the split: half of the rows train, a quarter each validates and tests.

    Attributes:
        trainings: how many regressions were fitted.
    """

    def __init__(self, name, seed):
        features, labels = DATA[name](return_X_y=True)
        self.trainings = 0
        train, rest = _halves(np.arange(len(labels)), labels, seed)
        parts = train, *_halves(rest, labels[rest], seed)
        scaled = preprocessing.StandardScaler().fit(features[train]).transform(features)
        self.train, self.validation, self.test = (
            (scaled[part].astype("float32"), labels[part]) for part in parts
        )
        self.num_features = features.shape[1]

    def accuracy(self, chosen, part):
        """Returns the accuracy on a part of the rows, in percent, of a regression on features."""
        self.trainings += 1
        model = linear_model.LogisticRegression(max_iter=300)
        model.fit(self.train[0][:, chosen], self.train[1])
        return 100 * model.score(part[0][:, chosen], part[1])


def _halves(rows, labels, seed):
    return model_selection.train_test_split(rows, test_size=0.5, stratify=labels, random_state=seed)


def by_gates(rows, k, seed):
    """One gate with as many groups as there are features, drawn to a rate of k of them."""
    keras.utils.set_random_seed(seed)
    features, labels = rows.train
    n = rows.num_features
    inputs = keras.Input((n,))
    same = keras.Input((n,))
    gate = tfgates.IndependentGate(groups=n, odds=(0.0, 1.0))
    gated = tfgates.Gated(keras.Model(same, keras.layers.Identity()(same)), gate, seed=seed)
    kept, decisions = gated(inputs)
    logits = keras.layers.Dense(int(labels.max()) + 1)(kept)
    network = tfgates.Network(inputs, {"logits": logits, "decisions": decisions})
    classifier = tfgates.GatedClassifier(
        network, target_rate=k / n, target_weight="auto", seed=seed
    )
    classifier.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.02, STEPS)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    epochs = -(-STEPS * BATCH // len(labels))
    classifier.fit(features, labels, batch_size=BATCH, epochs=epochs, verbose=0)
    rows.trainings += 1
    return best(np.asarray(gate(np.zeros((1, n), "float32")))[0], k)


def by_chance(rows, k, seed):
    return list(np.random.default_rng(seed).permutation(rows.num_features)[:k])


def by_themselves(rows, k, seed):
    return best([rows.accuracy([one], rows.validation) for one in range(rows.num_features)], k)


def by_mutual_information(rows, k, seed):
    return best(feature_selection.mutual_info_classif(*rows.train, random_state=seed), k)


def by_l1(rows, k, seed):
    """The features of the greatest weights, at the strongest L1 that leaves k of them or more."""
    for strength in np.geomspace(1e-3, 1e3, 25):
        rows.trainings += 1
        model = linear_model.LogisticRegression(
            l1_ratio=1.0, C=strength, solver="saga", max_iter=2000, tol=1e-2
        )
        weights = np.abs(model.fit(*rows.train).coef_).max(axis=0)
        if np.count_nonzero(weights) >= k:
            break
    return best(weights, k)


def by_greedy_search(rows, k, seed):
    return by_beam_search(rows, k, seed, width=1, among=rows.num_features)


def by_beam_search(rows, k, seed, width=BEAM, among=None):
    """Adds one feature after the other, and goes on with the `width` best sets.

    Args:
        rows, k, seed: as of the other ways.
        width: sets that are kept.
        among: features that are tried, the best by themselves; None: twice k, 10 at least.
    """
    among = min(rows.num_features, among or max(10, 2 * k))
    tried = by_themselves(rows, among, seed) if among < rows.num_features else range(among)
    beams = [()]
    for _ in range(k):
        sets = {tuple(sorted((*beam, one))) for beam in beams for one in tried if one not in beam}
        found = {one: rows.accuracy(list(one), rows.validation) for one in sorted(sets)}
        beams = sorted(found, key=lambda one: -found[one])[:width]
    return list(beams[0])


def best(scores, k):
    """Returns the indices of the k greatest scores."""
    return list(np.argsort(-np.asarray(scores), kind="stable")[:k])


WAYS = {
    "gates": by_gates,
    "by chance": by_chance,
    "best by themselves": by_themselves,
    "mutual information": by_mutual_information,
    "L1": by_l1,
    "greedy search": by_greedy_search,
    "beam search": by_beam_search,
}


def define_flags():
    flags.DEFINE_enum("data", "breast_cancer", list(DATA), "The table.")
    flags.DEFINE_list("k", ["2", "5", "10"], "Numbers of features.")
    flags.DEFINE_list("seeds", ["1", "2", "3", "4", "5"], "Of split and training.")
    flags.DEFINE_list("ways", list(WAYS), f"Of {', '.join(WAYS)}.")
    for name, known, rule in (
        ("k", str.isdecimal, "are whole numbers, as 2,5,10."),
        ("seeds", str.isdecimal, "are whole numbers, as 1,2,3."),
        ("ways", WAYS.__contains__, f"are among {', '.join(WAYS)}."),
    ):
        flags.register_validator(
            name, lambda texts, known=known: bool(texts) and all(map(known, texts)), rule
        )


def main():
    data, numbers, seeds = flags.FLAGS.data, [*map(int, flags.FLAGS.k)], flags.FLAGS.seeds
    most = Rows(data, 1).num_features
    if not all(0 < k < most for k in numbers):
        raise UserError(
            f"--k is from 1 to less than the number of features, {most} of {data}. Received: "
            f"{','.join(flags.FLAGS.k)}."
        )
    for k in numbers:
        print(f"\n{k} features of {data}: accuracy on test rows, trainings")
        for way in flags.FLAGS.ways:
            found, trainings = [], []
            for seed in map(int, seeds):
                rows = Rows(data, seed)
                chosen = WAYS[way](rows, k, seed)
                trainings.append(rows.trainings)
                found.append(rows.accuracy(chosen, rows.test))
            spread = statistics.stdev(found) if len(found) > 1 else 0.0
            print(
                f"{way:20} {statistics.mean(found):6.2f} ± {spread:.2f} %  "
                f"{statistics.mean(trainings):8.0f}",
                flush=True,
            )


if __name__ == "__main__":
    define_flags()
    command.run(main)
