"""Milliseconds of decoding a JPEG by each transform of TensorFlow, and how far it is from Pillow.

    python -m benchmarks.jpeg_decoding --photo=photo.jpg

Training and serving decode by the first (`tfgates.data.preprocess.decode`); the default is what
TensorFlow takes where nothing is asked for.
"""

import datetime
import functools
import io
import pathlib

import numpy as np
import PIL.Image
import tensorflow as tf
from absl import flags

from tfgates.base import command
from tfgates.base.timing import hardware, interleaved, ratio, table
from tfgates.data.preprocess import DCT

PHOTO = flags.DEFINE_string("photo", None, "A JPEG file.", required=True)
ROUNDS = flags.DEFINE_integer("rounds", 30, "Rounds of the interleaved run.", lower_bound=1)

SIZES = ((224, 224), (375, 500))
QUALITY = 90
CALLS = 20


def main():
    tf.config.threading.set_intra_op_parallelism_threads(1)
    photo = tf.io.decode_jpeg(pathlib.Path(PHOTO.value).read_bytes(), channels=3)
    rows = []
    for size in SIZES:
        scaled = tf.cast(tf.image.resize(photo, size, antialias=True), tf.uint8)
        jpeg = tf.io.encode_jpeg(scaled, quality=QUALITY)
        pillow = np.asarray(PIL.Image.open(io.BytesIO(jpeg.numpy())).convert("RGB"), "int32")
        decoders = {
            name or "default": tf.function(
                functools.partial(tf.io.decode_jpeg, jpeg, channels=3, dct_method=name)
            )
            for name in (DCT, "")
        }
        seconds = interleaved(decoders, ROUNDS.value, CALLS)
        for name, decode in decoders.items():
            apart = np.abs(decode().numpy() - pillow)
            rows.append(
                [
                    f"{size[1]} x {size[0]}",
                    name,
                    f"{1e3 * np.median(seconds[name][:, 0]):.2f}",
                    ratio(seconds[name], seconds["default"]),
                    f"{apart.max()}",
                    f"{apart.mean():.2f}",
                ]
            )
    print(f"{datetime.date.today()}, {hardware()}\n")
    headers = ["pixels", "transform", "CPU ms", "to default", "farthest from Pillow", "on average"]
    print(table(rows, headers))


if __name__ == "__main__":
    command.run(main)
