"""Makes `fashion_mnist` of tensorflow-datasets where its server cannot be reached.

    apt-get install dataset-fashion-mnist
    python datasets/make_fashion_mnist.py --data_dir=data
    python train.py --dataset=fashion_mnist --data_dir=data ...

The 60,000 training and 10,000 test images, in the order of the original files, as the download
would leave them. Where there is a network, --dataset=fashion_mnist downloads it by itself.
"""

import pathlib

import tensorflow as tf
import tensorflow_datasets as tfds
from absl import app
from make_fashion_mnist_13k import FLAGS, LABELS, read

VERSION = "3.0.1"


def main(argv):
    del argv
    splits = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = read(pathlib.Path(FLAGS.source), prefix)
        splits[split] = tf.data.Dataset.from_tensor_slices(
            {"image": images, "label": labels.astype("int64")}
        )
    tfds.dataset_builders.store_as_tfds_dataset(
        name="fashion_mnist",
        version=VERSION,
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(28, 28, 1)),
                "label": tfds.features.ClassLabel(names=LABELS),
            }
        ),
        split_datasets=splits,
        data_dir=FLAGS.data_dir,
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        disable_shuffling=True,
    )


if __name__ == "__main__":
    app.run(main)
