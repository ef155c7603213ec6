"""Makes `fashion_mnist_13k`, the balanced subset of Fashion-MNIST that ships with tfgates.

    apt-get install dataset-fashion-mnist
    python datasets/make_fashion_mnist_13k.py --source=/usr/share/datasets/fashion-mnist

10,000 training and 1,000 validation images are drawn from the 60,000 original training images, and
2,000 test images from the 10,000 original test images, the same number of each class, by a fixed
seed. They are written in the on-disk format of tensorflow-datasets, like any data set of its own.
"""

import gzip
import pathlib

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string("source", "/usr/share/datasets/fashion-mnist", "Folder of the four .gz files.")
flags.DEFINE_string("data_dir", "datasets", "Folder that receives fashion_mnist_13k/1.0.0.")

SEED = 20181212
PER_CLASS = {"train": 1000, "validation": 100, "test": 200}
LABELS = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]


def read(folder, prefix):
    """Returns images [N, 28, 28, 1] and labels [N], uint8, of one pair of IDX files."""
    arrays = []
    for kind, header in (("images-idx3", 16), ("labels-idx1", 8)):
        with gzip.open(folder / f"{prefix}-{kind}-ubyte.gz") as file:
            arrays.append(np.frombuffer(file.read(), np.uint8, offset=header))
    images, labels = arrays
    return images.reshape(-1, 28, 28, 1), labels


def choose(labels, per_class, rng):
    """Returns for each split of `per_class` disjoint, balanced, shuffled indices."""
    by_class = [rng.permutation(np.flatnonzero(labels == label)) for label in range(10)]
    chosen, first = {}, 0
    for split, count in per_class.items():
        indices = np.concatenate([order[first : first + count] for order in by_class])
        chosen[split] = rng.permutation(indices)
        first += count
    return chosen


def main(argv):
    del argv
    rng = np.random.default_rng(SEED)
    splits = {}
    for prefix, names in (("train", ("train", "validation")), ("t10k", ("test",))):
        images, labels = read(pathlib.Path(FLAGS.source), prefix)
        for split, indices in choose(labels, {n: PER_CLASS[n] for n in names}, rng).items():
            splits[split] = tf.data.Dataset.from_tensor_slices(
                {"image": images[indices], "label": labels[indices].astype("int64")}
            )
    tfds.dataset_builders.store_as_tfds_dataset(
        name="fashion_mnist_13k",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(28, 28, 1)),
                "label": tfds.features.ClassLabel(names=LABELS),
            }
        ),
        split_datasets=splits,
        data_dir=FLAGS.data_dir,
        description="A balanced subset of Fashion-MNIST: 10,000 training, 1,000 validation and "
        "2,000 test images, 28x28 grey, of ten kinds of clothing.",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        citation="Xiao, Rasul, Vollgraf: Fashion-MNIST: a Novel Image Dataset for Benchmarking "
        "Machine Learning Algorithms. arXiv 1708.07747, 2017.",
        disable_shuffling=True,
    )


if __name__ == "__main__":
    app.run(main)
