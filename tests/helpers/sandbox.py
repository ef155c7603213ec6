"""A folder in which the commands of the documentation run on little data, within seconds."""

import contextlib
import functools
import re
import shutil
import subprocess
import sys
import time

import tensorflow as tf
from examples import ROOT, real_images
from own_models import residual_cnn
from processes import Script, forked
from shell import Shell

# What stands in the pages, and what is there instead of the reader's own.
ADDRESS = "127.0.0.1:8500"
# A flag that stands twice has its last value.
SMALL_NETWORK = "--network=cifar_resnet8"
SMALL_RUN = [
    "--image_size=32",
    "--batch_size=8",
    "--steps_per_epoch=2",
    "--epochs=1",
    "--decay_epochs=1",
]
OTHER_NETWORKS = ("--network=keras:", "--network=model:")


class Sandbox:
    """The repository's files, a trained and exported run, pictures, a Keras model; and bash there.

    `python` of the commands is forked from a process with TensorFlow, but for the client. A server
    runs beside what comes after it, on a free port, which the client then asks.

    Args:
        folder: a new one.
        run: path of the run that becomes runs/demo.
    """

    def __init__(self, folder, run):
        self.folder = folder
        self.address = None
        self._shell = Shell(folder, self._python)
        self._server = contextlib.ExitStack()
        self._only_check = False
        folder.mkdir()
        for path in ROOT.iterdir():
            if not path.name.startswith((".", "runs", "build")):
                (folder / path.name).symlink_to(path)
        shutil.copytree(run, folder / "runs/demo")
        flags = folder / "runs/demo/flags.cfg"
        flags.write_text(re.sub("--output_dir=.*", "--output_dir=runs/demo", flags.read_text()))
        # What a block that is not run would have made of it.
        (folder / "runs/demo-pruned").mkdir()
        shutil.copy(flags, folder / "runs/demo-pruned")
        (folder / "models.config").write_text(
            'model_config_list { config { name: "gated" model_platform: "tensorflow" '
            f'base_path: "{folder}/runs/demo/export" }} }}'
        )
        _write_pictures(folder)
        residual_cnn(size=32).save(folder / "mine.keras")

    def __enter__(self):
        self._shell.__enter__()
        return self

    def __exit__(self, *unused):
        self._server.close()
        self._shell.__exit__()

    def bash(self, script, only_check=False):
        """Runs a script; `only_check` lets its `python` commands end once they know their flags."""
        self._only_check = only_check
        return self._shell.run(script)

    def python(self, script):
        """Runs the text of a Python script."""
        file = self.folder / "blocks.py"
        file.write_text(script.replace(ADDRESS, self.address or ADDRESS))
        return forked(str(file), folder=self.folder)

    def _python(self, arguments, stdin):
        script = arguments[:2]
        if self._only_check:
            return forked(*arguments, "--only_check_args", folder=self.folder)
        if "serving/server.py" in script:
            return self._serve(arguments)
        if "serving/client.py" in script:
            command = [sys.executable, *arguments, f"--server={self.address}"]
            return subprocess.run(
                command, input=stdin, cwd=self.folder, capture_output=True, text=True, check=False
            )
        trains = "train.py" in script
        # On the flags of a small run it is small already.
        if trains and not any("--flagfile=runs/" in argument for argument in arguments):
            arguments = [*arguments, *SMALL_RUN]
            # What the page is about: a network of Keras, or one of the reader's own.
            if not any(argument.startswith(OTHER_NETWORKS) for argument in arguments):
                arguments.append(SMALL_NETWORK)
        eager = trains or "tfgates.tools.evaluate" in script
        return forked(*arguments, folder=self.folder, eager=eager)

    def _serve(self, arguments):
        self._server.close()
        server = self._server.enter_context(Script(*arguments, "--port=0", folder=self.folder))
        while server.running():
            found = re.search(r"on (\S+:\d+)\n", server.output())
            if found:
                self.address = found[1]
                return subprocess.CompletedProcess(arguments, 0, found[0], "")
            time.sleep(0.05)
        return server.finish()


@functools.cache
def _pictures():
    """Returns real pictures, as JPEG."""
    images, _ = real_images(100)
    pixels = [tf.repeat(tf.io.decode_png(image), 3, axis=2) for image in images]
    return [tf.io.encode_jpeg(image).numpy() for image in pixels]


def _write_pictures(folder):
    for index, picture in enumerate(_pictures()):
        path = folder / f"photos/class {index % 2}/{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    shutil.copy(path, folder / "photo.jpg")
    (folder / "more").mkdir()
    for name in ("other.png", "more/another.png"):
        (folder / name).write_bytes(tf.io.encode_png(tf.io.decode_jpeg(picture)).numpy())
