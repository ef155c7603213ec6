"""The shipped data set, the preprocessing, and the order of the batches."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from examples import PREPROCESSING, real_images, store_set

from tfgates.data import augment, batches, datasets, prepare
from tfgates.data.preprocess import Preprocessing, decode, measure, square
from tfgates.data.splits import roles
from tfgates.errors import UserError


@pytest.fixture(scope="module")
def shipped():
    return datasets.open_dataset("fashion_mnist_13k")


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
    files = [path for path in prepare.SHIPPED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 9_000_000


def test_grey_images_are_padded_and_repeated():
    image = np.random.default_rng(0).integers(0, 256, (28, 28, 1), "uint8")
    decoded = decode(tf.io.encode_png(image))
    np.testing.assert_array_equal(decoded, np.repeat(image, 3, axis=2))
    fitted = square(decoded, 32).numpy()
    assert fitted.shape == (32, 32, 3)
    np.testing.assert_array_equal(fitted[2:30, 2:30], decoded)
    fitted[2:30, 2:30] = 0
    assert not fitted.any()


@pytest.mark.parametrize("shape", [(64, 48), (20, 40), (33, 32), (500, 376), (40, 42)])
def test_larger_images_are_scaled_and_cropped(shape):
    ramp = np.broadcast_to(np.linspace(0, 255, shape[1])[None, :, None], (*shape, 3))
    fitted = square(ramp, 32).numpy()
    assert fitted.shape == (32, 32, 3)
    # The crop is central: the ramp stays symmetric about its middle.
    np.testing.assert_allclose(fitted + fitted[:, ::-1], 255, atol=1.0)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_png_becomes_three_channels_of_bytes(channels, dtype):
    image = np.full((32, 32, channels), np.iinfo(dtype).max, dtype)
    decoded = decode(tf.io.encode_png(image))
    assert decoded.dtype == tf.uint8
    np.testing.assert_array_equal(decoded, np.full((32, 32, 3), 255))


def test_measured_statistics_are_those_of_numpy(shipped):
    mean, std = measure(shipped.records("validation"), Preprocessing(32))
    pixels = np.stack([square(decode(image), 32) for image, _ in shipped.records("validation")])
    pixels = pixels.astype("float64") / 255
    np.testing.assert_allclose(mean, pixels.mean((0, 1, 2)), atol=1e-4)
    np.testing.assert_allclose(std, pixels.std((0, 1, 2)), atol=1e-4)


def epoch_batches(shipped, seed, first_epoch, epochs, window="crop_flip"):
    found = batches.training_batches(
        shipped,
        PREPROCESSING,
        augment.Augmentation(window),
        batch_size=16,
        steps_per_epoch=2,
        seed=seed,
        first_epoch=first_epoch,
        epochs=epochs,
    )
    return [(images.numpy(), labels.numpy()) for images, labels in found]


def test_batches_are_a_function_of_seed_and_epoch(shipped):
    whole = epoch_batches(shipped, 1, 0, 3)
    resumed = epoch_batches(shipped, 1, 2, 3)
    assert len(whole) == 6
    for expected, found in zip(whole[4:], resumed, strict=True):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


def test_epochs_and_seeds_differ_in_their_order_and_in_their_augmentation(shipped):
    whole = epoch_batches(shipped, 1, 0, 2, "none")
    other_seed = epoch_batches(shipped, 2, 0, 1, "none")
    for other in (whole[2], whole[3], other_seed[0]):
        first, second = ({image.tobytes() for image in batch[0]} for batch in (whole[0], other))
        assert len(first & second) < 3
    image = tf.io.encode_png(whole[0][0][0])
    moved = {
        augment.crop_flip(image, PREPROCESSING, tf.constant([epoch, 0], tf.int64)).numpy().tobytes()
        for epoch in range(8)
    }
    assert len(moved) == 8


def test_an_epoch_sees_every_image_once(shipped):
    found = batches.training_batches(
        shipped,
        PREPROCESSING,
        augment.Augmentation(),
        batch_size=100,
        steps_per_epoch=100,
        seed=5,
        first_epoch=3,
        epochs=4,
    )
    seen = {image.tobytes() for images, _ in found for image in images.numpy()}
    assert len(seen) == len({image.numpy() for image, _ in shipped.records("train")})


def test_evaluation_fills_the_last_batch_with_images_of_no_weight(shipped):
    found = list(batches.evaluation_batches(shipped, "validation", PREPROCESSING, 300))
    assert [images.shape[0] for images, _, _ in found] == [300] * 4
    weights = np.concatenate([weights for _, _, weights in found])
    np.testing.assert_array_equal(weights, [1] * 1000 + [0] * 200)


def test_crop_and_flip_moves_the_image_and_keeps_its_pixels():
    pixels = np.zeros((32, 32, 3), "uint8")
    pixels[16, 10] = 1
    image = tf.io.encode_png(pixels)
    places = set()
    for seed in range(40):
        seeds = tf.constant([seed, 0], tf.int64)
        moved = augment.crop_flip(image, PREPROCESSING, seeds).numpy()
        assert moved.sum() == 3
        places.add(tuple(np.argwhere(moved[..., 0])[0]))
    rows, columns = map(set, zip(*places, strict=True))
    assert rows <= set(range(12, 21))
    assert columns <= set(range(6, 15)) | set(range(17, 26))
    assert columns & set(range(17, 26))
    assert columns & set(range(6, 15))


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


def test_images_of_one_colour_have_finite_statistics():
    for grey in (75, 95, 105, 115):
        image = tf.io.encode_png(np.full((32, 32, 3), grey, "uint8"))
        records = tf.data.Dataset.from_tensors((image, 0)).repeat(7)
        assert measure(records, Preprocessing(32))[1] == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("shape", [(1, 60_000), (60_000, 1), (1, 1), (3, 900)])
def test_extreme_shapes_are_fitted(shape):
    fitted = square(np.full((*shape, 3), 200, "uint8"), 32).numpy()
    assert fitted.shape == (32, 32, 3)
    assert fitted.max() == 200


def test_an_unknown_set_is_named():
    with pytest.raises(UserError, match=r"--dataset.*no_such_set.*catalog"):
        datasets.open_dataset("no_such_set")


def test_a_set_that_is_no_image_classification_is_named(tmp_path):
    with tfds.testing.mock_data(num_examples=1), pytest.raises(UserError, match="imdb_reviews"):
        datasets.open_dataset("imdb_reviews", str(tmp_path))
