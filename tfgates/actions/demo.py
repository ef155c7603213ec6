"""Trains and exports a run, serves it, classifies eight test images with the client, and stops."""

import contextlib
import re
import shlex
import subprocess
import sys

import tensorflow as tf
from absl import flags

from tfgates.base.errors import UserError
from tfgates.data.preprocess import decode
from tfgates.runs.data import open_data
from tfgates.runs.folder import RunFolder

FLAGS = flags.FLAGS
DEMO = "runs/demo"
SERVER = (sys.executable, "-m", "tfgates.tools.serve")
IMAGES = 8
# Not run on the authors' machine, which has no docker engine.
DOCKER = """\
docker run --rm -p 8500:8500 -v {volume} -e MODEL_NAME=gated \\
    tensorflow/serving:2.20.0"""


def main():
    if FLAGS.run is None:
        tool("train", "--flagfile=flags/demo.cfg")
        tool("export", f"--run={DEMO}")
    run = RunFolder(FLAGS.run or DEMO)
    images = write_images(run)
    print(f"Wrote {len(images)} test images to {images[0].parent}", flush=True)
    with serving(run.export) as address:
        client = [sys.executable, "-m", "tfgates_client", f"--server={address}"]
        answered = subprocess.run([*client, *map(str, images)], check=False)
    if answered.returncode:
        raise UserError(f"The client ended with exit code {answered.returncode}; see above.")
    print(f"\nRun folder: {run.path}")
    if run.picture.exists():
        print(f"Picture:    {run.picture}")
    print("The same export in production:")
    print(DOCKER.format(volume=shlex.quote(f"{run.export.resolve()}:/models/gated")))


def tool(name, *arguments):
    """Runs a command, whose output is shown as it comes."""
    code = subprocess.run([sys.executable, "-m", f"tfgates.tools.{name}", *arguments]).returncode
    if code:
        raise UserError(f"{name} ended with exit code {code}; see above.")


def write_images(run):
    """Writes the first eight test images of a run's data set as JPEG files; returns their paths."""
    _, labels, _ = run.load_data()
    folder = run.path / "images"
    folder.mkdir(exist_ok=True)
    paths = []
    records = open_data(run, FLAGS.data_dir).records("test").take(IMAGES)
    for index, (image_bytes, label) in enumerate(records):
        text = re.sub(r"[^a-z0-9]+", "-", labels[label].lower()).strip("-")
        path = folder / f"{index}-{text}.jpg"
        path.write_bytes(tf.io.encode_jpeg(decode(image_bytes), quality=95).numpy())
        paths.append(path)
    return paths


@contextlib.contextmanager
def serving(export):
    """Runs the server on a free port while the block runs; gives its address."""
    server = subprocess.Popen(
        [*SERVER, f"--model_base_path={export}", "--port=0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = server.stdout.readline().strip() if server.stdout else ""
        found = re.search(r"on (\S+:\d+)$", line)
        if not found:
            raise UserError("The server did not start; see above.")
        print(line, flush=True)
        yield found[1]
    finally:
        server.terminate()
        server.wait()
        print("Stopped the server.")
