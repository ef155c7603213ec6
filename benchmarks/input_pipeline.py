"""Images per second of the training pipeline beside those of its own bound, decode and crop.

    python -m benchmarks.input_pipeline --photos=/usr/share/backgrounds/mate/nature
    python -m benchmarks.input_pipeline --dataset=folder:PATH

The bound reads the same files, decodes a random window of each and scales it, in parallel, and does
nothing else; beside it stands the same without antialiasing. With --photos, tiles of 500 x 375
pixels, the usual size in ImageNet, are cut from large photographs first (Debian's package
mate-backgrounds holds twelve).
"""

import datetime
import pathlib
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import flags

from tfgates.base import command
from tfgates.base.timing import hardware, ratio, table
from tfgates.data.augment import Augmentation, resized_crop_flip, sample_window
from tfgates.data.batches import training_batches
from tfgates.data.datasets import open_dataset
from tfgates.data.preprocess import Preprocessing

DATASET = flags.DEFINE_string("dataset", "", "A data set of JPEG files.")
PHOTOS = flags.DEFINE_string("photos", "", "A folder of large photographs to cut tiles from.")
IMAGES = flags.DEFINE_integer("images", 2048, "Images of a round.")
ROUNDS = flags.DEFINE_integer("rounds", 7, "Rounds of the interleaved run.", lower_bound=1)
BATCH = flags.DEFINE_integer("batch", 64, "Images of a batch.")

SIZE = 224
TILE = (375, 500)
TILES = 30


def cut_tiles(photos, folder):
    """Cuts tiles from each photograph, as JPEG files of quality 95; one class for each."""
    rng = np.random.default_rng(0)
    for photo in sorted(pathlib.Path(photos).glob("*.jpg")):
        pixels = tf.io.decode_jpeg(photo.read_bytes(), channels=3)
        (folder / photo.stem).mkdir()
        for number in range(TILES):
            row, column = (
                rng.integers(0, full - part + 1)
                for full, part in zip(pixels.shape[:2], TILE, strict=True)
            )
            tile = pixels[row : row + TILE[0], column : column + TILE[1]]
            jpeg = tf.io.encode_jpeg(tile, quality=95).numpy()
            (folder / photo.stem / f"{number:02d}.jpg").write_bytes(jpeg)


def alternatives(dataset):
    """The data sets that are timed, by name."""
    preprocessing = Preprocessing(SIZE, "shorter_side")
    steps = IMAGES.value // BATCH.value

    def bound(augment):
        def one(index, record):
            seed = tf.random.experimental.stateless_fold_in(tf.constant([1, 2], tf.int64), index)
            return augment(record[0], seed)

        records = dataset.records("train").repeat().take(steps * BATCH.value).enumerate()
        return records.map(one, tf.data.AUTOTUNE)

    def window(image_bytes, seed):
        begin, size = sample_window(tf.io.extract_jpeg_shape(image_bytes), seed)
        crop = tf.concat([begin[:2], size[:2]], axis=0)
        return tf.image.decode_and_crop_jpeg(image_bytes, crop, channels=3)

    def aliased(image_bytes, seed):
        image = tf.image.resize(window(image_bytes, seed), [SIZE, SIZE])
        return tf.image.stateless_random_flip_left_right(image, seed)

    return {
        "read, decode the window": bound(
            lambda image_bytes, seed: tf.shape(window(image_bytes, seed))
        ),
        "and scale and flip it, without antialiasing": bound(aliased),
        "and scale and flip it (the bound)": bound(
            lambda image_bytes, seed: resized_crop_flip(image_bytes, preprocessing, seed)
        ),
        "the training pipeline": training_batches(
            dataset,
            preprocessing,
            Augmentation("resized_crop_flip"),
            batch_size=BATCH.value,
            steps_per_epoch=steps,
            seed=1,
            first_epoch=0,
            epochs=1,
        ),
    }


def measure(dataset):
    """Prints the table."""
    found = alternatives(dataset)
    seconds = {name: [] for name in found}
    for warm_up in [True, *[False] * ROUNDS.value]:
        for name, images in found.items():
            cpu, wall = time.process_time(), time.perf_counter()
            for _ in images:
                pass
            if not warm_up:
                seconds[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    seconds = {name: np.array(values) for name, values in seconds.items()}
    reference = seconds["and scale and flip it (the bound)"]
    rows = []
    for name, values in seconds.items():
        cpu, wall = IMAGES.value / np.median(values, axis=0)
        rows.append([name, f"{cpu:.0f}", f"{wall:.0f}", ratio(reference, values)])
    headers = ["", "images per CPU second", "images/s", "of the bound (CPU)"]
    sizes = [len(image) for image, _ in dataset.records("train").take(200).as_numpy_iterator()]
    print(f"{hardware()}, TensorFlow {tf.__version__}, {datetime.date.today()}")
    print(f"{dataset.size('train')} JPEG files of {np.mean(sizes) / 1e3:.0f} kB on average\n")
    print(table(rows, headers))


def main():
    if not PHOTOS.value:
        measure(open_dataset(DATASET.value))
        return
    with tempfile.TemporaryDirectory() as folder:
        cut_tiles(PHOTOS.value, pathlib.Path(folder))
        measure(open_dataset(f"folder:{folder}"))


if __name__ == "__main__":
    command.run(main)
