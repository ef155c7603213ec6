"""Scripts in processes of their own, forked from one that has imported TensorFlow.

The import takes longer than most of them. `examples.run_script` starts Python afresh.
"""

import multiprocessing
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parents[2]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["tfgates.runs.finish", "tfgates.runs.init_from", "tfgates.export.savedmodel"]
)


def forked(*arguments, **options):
    """Runs a Python script as a `Script`; returns the finished process with its output."""
    with Script(*arguments, **options) as script:
        return script.finish(280)


class Script:
    """A Python script that runs within a block, whose end kills it.

    Args:
        *arguments: of Python: a path in the repository, or -m and a module; and its own.
        environment: variables that it gets in addition.
        folder: where it runs.
        eager: whether TensorFlow builds no graphs, which is faster where little is computed.
    """

    def __init__(self, *arguments, environment=(), folder=ROOT, eager=False):
        self.arguments = [str(argument) for argument in arguments]
        self._environment = dict(environment)
        self._where = folder, eager

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory()
        self._outputs = [pathlib.Path(self._folder.name, name) for name in ("stdout", "stderr")]
        self._process = FORKS.Process(
            target=_main, args=(self.arguments, self._outputs, self._environment, *self._where)
        )
        self._process.start()
        return self

    def __exit__(self, *unused):
        self._process.kill()
        self._process.join()
        self._folder.cleanup()

    def running(self):
        return self._process.exitcode is None

    def output(self):
        """Returns what it has printed so far."""
        return self._outputs[0].read_text() if self._outputs[0].exists() else ""

    def send_signal(self, number):
        os.kill(self._process.pid, number)

    def finish(self, timeout=120):
        """Waits for its end; returns a `subprocess.CompletedProcess`, -N its code after signal N.

        Raises:
            subprocess.TimeoutExpired: it did not end in time.
        """
        self._process.join(timeout)
        stdout, stderr = (path.read_text() for path in self._outputs)
        if self.running():
            raise subprocess.TimeoutExpired(self.arguments, timeout, stdout, stderr)
        return subprocess.CompletedProcess(self.arguments, self._process.exitcode, stdout, stderr)


def _main(arguments, outputs, environment, folder, eager):
    """Does in the forked process what Python does with its arguments."""
    for descriptor, path in enumerate(outputs, 1):
        with path.open("wb") as file:
            os.dup2(file.fileno(), descriptor)
    os.chdir(folder)
    os.environ.update(environment)
    if eager:
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)
    # A shell's background job ignores interrupts, and so would its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path.insert(0, str(pathlib.Path(arguments[0]).resolve().parent))
        runpy.run_path(arguments[0], run_name="__main__")
