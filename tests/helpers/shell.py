"""bash whose `python` is a function of this process, which may fork instead of starting anew."""

import multiprocessing.connection
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import traceback

# -S: nothing but the standard library is needed, and it starts in a few hundredths of a second.
PYTHON = """\
#!{executable} -S
import sys
from multiprocessing.connection import Client
with Client({address!r}) as connection:
    connection.send((sys.argv[1:], sys.stdin.read()))
    code, output, errors = connection.recv()
sys.stdout.write(output)
sys.stderr.write(errors)
sys.exit(code)
"""


class Shell:
    """Runs scripts in a folder, within a block.

    Args:
        folder: where they run.
        python: function of the arguments of `python` and of the text of its stdin, that returns a
            `subprocess.CompletedProcess`; one call at a time.
    """

    def __init__(self, folder, python):
        self._folder = folder
        self._python = python

    def __enter__(self):
        # Names of sockets are short.
        self._temporary = tempfile.TemporaryDirectory(prefix="shell")
        self._bin = pathlib.Path(self._temporary.name)
        self._address = str(self._bin / "socket")
        self._listener = multiprocessing.connection.Listener(self._address)
        shim = self._bin / "python"
        shim.write_text(PYTHON.format(executable=sys.executable, address=self._address))
        shim.chmod(0o755)
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()
        return self

    def __exit__(self, *unused):
        with multiprocessing.connection.Client(self._address) as connection:
            connection.send(None)
        self._thread.join()
        self._listener.close()
        self._temporary.cleanup()

    def run(self, script):
        """Runs a script until its first command that fails; returns the finished process."""
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self._folder,
            env={**os.environ, "PATH": f"{self._bin}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def _answer(self):
        while True:
            with self._listener.accept() as connection:
                called = connection.recv()
                if called is None:
                    return
                try:
                    finished = self._python(*called)
                    answer = finished.returncode, finished.stdout, finished.stderr
                except Exception:
                    answer = 1, "", traceback.format_exc()
                connection.send(answer)
