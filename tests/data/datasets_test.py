"""Data sets: the shipped one, those of tensorflow-datasets, and those that are refused."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from examples import real_images, store_set

from tfgates.base.errors import UserError
from tfgates.base.shipped import SHIPPED
from tfgates.data import datasets
from tfgates.data.preprocess import decode, square
from tfgates.data.splits import roles


@pytest.mark.parametrize(
    ("split", "per_class"), [("train", 1000), ("validation", 100), ("test", 200)]
)
def test_the_shipped_set_is_balanced(shipped, split, per_class):
    labels = [int(label) for _, label in shipped.records(split)]
    assert np.bincount(labels).tolist() == [per_class] * 10
    assert len(labels) == shipped.size(split)


def test_no_image_stands_in_two_splits(shipped):
    splits = [{image.numpy() for image, _ in shipped.records(split)} for split in shipped.splits]
    train, validation, test = splits
    assert not train & test
    assert not validation & test
    assert not train & validation


def test_the_shipped_set_is_small():
    files = [path for path in (SHIPPED / "datasets").glob("*/*/*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 9_000_000


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        ({"train": 50, "validation": 5, "test": 5}, ("train", "validation", "test")),
        ({"train": 50, "test": 9, "extra": 9}, ("train[:45]", "train[45:]", "test")),
        ({"train": 55, "validation": 9}, ("train[:50]", "train[50:]", "validation")),
        ({"train": 50}, ("train[:40]", "train[40:45]", "train[45:]")),
        # ImageNet: a tenth would be more than a choice needs.
        (
            {"train": 1_281_167, "validation": 50_000},
            ("train[:1271167]", "train[1271167:]", "validation"),
        ),
    ],
)
def test_validation_never_comes_from_the_test_split(available, expected):
    found = roles("some_set", available)
    assert (found["train"], found["validation"], found["test"]) == expected


def test_a_set_without_a_test_split_lends_a_tenth_of_its_training_split(tmp_path):
    store_set(tmp_path, {"train": real_images(20)})
    dataset = datasets.open_dataset("my_set", str(tmp_path))
    assert [dataset.size(split) for split in ("train", "validation", "test")] == [16, 2, 2]
    assert dataset.labels == tuple("0123456789")
    image, _ = next(iter(dataset.records("train")))
    assert square(decode(image), 32).shape == (32, 32, 3)


def test_sets_that_cannot_be_trained_on_are_refused(tmp_path):
    images, labels = real_images(5)
    store_set(tmp_path / "few", {"train": (images, labels)})
    with pytest.raises(UserError, match=r"my_set has no images in train.*validation"):
        datasets.open_dataset("my_set", str(tmp_path / "few"))
    store_set(tmp_path / "test", {"test": (images, labels)})
    with pytest.raises(UserError, match="no labelled training split, only test"):
        datasets.open_dataset("my_set", str(tmp_path / "test"))
    store_set(tmp_path / "one", {"train": (images, np.zeros(5, int))}, num_classes=1)
    with pytest.raises(UserError, match="less than two classes"):
        datasets.open_dataset("my_set", str(tmp_path / "one"))
    images, labels = real_images(20)
    store_set(tmp_path / "unlabelled", {"train": (images, np.full(20, -1))})
    with pytest.raises(UserError, match="no labelled training split, only none"):
        datasets.open_dataset("my_set", str(tmp_path / "unlabelled"))


def test_a_set_that_is_stored_class_by_class_is_refused_unless_shuffled(tmp_path):
    images, labels = real_images(1)[0] * 300, np.repeat([0, 1], 150)
    store_set(tmp_path / "sorted", {"train": (images, labels)}, disable_shuffling=True)
    with pytest.raises(UserError, match=r"stored class by class.*train\[:240\] lacks classes"):
        datasets.open_dataset("my_set", str(tmp_path / "sorted"))
    store_set(tmp_path / "shuffled", {"train": (images, labels)})
    dataset = datasets.open_dataset("my_set", str(tmp_path / "shuffled"))
    for split in dataset.splits:
        assert {int(label) for _, label in dataset.records(split)} == {0, 1}


def test_a_damaged_file_is_named(tmp_path):
    store_set(tmp_path, {"train": real_images(20)})
    (path,) = tmp_path.rglob("*.tfrecord*")
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(UserError, match=r"my_set:1\.0\.0 cannot be read"):
        datasets.open_dataset("my_set", str(tmp_path))


def test_the_shipped_set_is_found_whatever_the_folder_of_other_sets(tmp_path):
    assert datasets.open_dataset("fashion_mnist_13k", str(tmp_path)).size("test") == 2000


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "oxford_iiit_pet", "mnist"])
def test_image_and_label_of_known_sets(name, tmp_path):
    info = tfds.builder(name, data_dir=str(tmp_path)).info
    assert tuple(datasets._image_and_label(name, info)) == ("image", "label")


def test_an_unknown_set_is_named():
    with pytest.raises(UserError, match=r"--dataset.*no_such_set.*catalog"):
        datasets.open_dataset("no_such_set")


def test_a_set_that_is_no_image_classification_is_named(tmp_path):
    with tfds.testing.mock_data(num_examples=1), pytest.raises(UserError, match="imdb_reviews"):
        datasets.open_dataset("imdb_reviews", str(tmp_path))
