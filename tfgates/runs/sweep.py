"""A sweep trains many runs, some at a time, each a train.py that resumes where it broke off."""

import csv
import os
import pathlib
import signal
import subprocess
import sys
import time

from tfgates.base.cores import CORES
from tfgates.base.errors import UserError
from tfgates.runs.folder import RunFolder
from tfgates.settings import flagfile
from tfgates.settings.config import TrainConfig

# Arguments of Python; not train.py, which is in a checkout alone.
TRAIN = ("-m", "tfgates.tools.train")
PAUSE = 0.2


def train_all(all_settings, jobs, finished):
    """Trains those that are not finished; one that fails does not keep the others from it.

    Args:
        all_settings: list of `TrainConfig`, each with an output_dir of its own.
        jobs: runs at a time, which divide the cores between them.
        finished: function called with the settings and the exit code of each run as it ends; of
            one that was finished before, with 0.
    """
    waiting: list[TrainConfig] = []
    running: dict[subprocess.Popen, tuple] = {}
    for settings in all_settings:
        if is_finished(settings):
            finished(settings, 0)
        else:
            waiting.append(settings)
    # An interrupt reaches the runs by itself; other ends are handed on below.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                settings = waiting.pop(0)
                running[_start(settings, jobs)] = settings, time.monotonic()
            for process in list(running):
                settings, began = running[process]
                if _has_ended(process, settings, began, os.WNOHANG):
                    del running[process]
                    finished(settings, process.returncode)
            time.sleep(PAUSE)
    finally:
        for process in running:
            process.terminate()
        for process, (settings, began) in running.items():
            _has_ended(process, settings, began)


def _has_ended(process, settings, began, options=0):
    """Whether a run has ended; notes its time. Without options it waits for that."""
    pid, status, usage = os.wait4(process.pid, options)
    if pid:
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime
        with _seconds_file(settings.output_dir).open("a", newline="") as file:
            csv.writer(file).writerow([f"{cpu:.3f}", f"{time.monotonic() - began:.3f}"])
    return bool(pid)


def is_finished(settings):
    """Whether the run folder of some settings holds their results.

    One of other flags is handed to train.py, which goes on with it or refuses them by name.
    """
    run = RunFolder(settings.output_dir)
    try:
        # A run that is trained longer keeps its old card until the new model is evaluated.
        evaluated = run.card.stat().st_mtime >= run.model.stat().st_mtime
        return evaluated and flagfile.read(run.flags) == (settings.as_texts(), [])
    except (FileNotFoundError, NotADirectoryError, UserError):
        return False


def seconds(path):
    """Returns the process CPU time and the wall time that a run took, over all its starts.

    They are None of one that was trained otherwise, whose sweep was killed, or whose file is
    damaged.
    """
    try:
        with _seconds_file(path).open(newline="") as file:
            rows = [(float(cpu), float(wall)) for cpu, wall in csv.reader(file)]
        cpu, wall = map(sum, zip(*rows, strict=True))
    except (OSError, ValueError):
        return None, None
    return cpu, wall


def _start(settings, jobs):
    folder = pathlib.Path(settings.output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--output_dir={folder.parent} cannot hold runs: {error}. Choose another."
        ) from error
    threads = str(max(1, CORES // jobs))
    lines = settings.as_flagfile().splitlines()
    with (folder / "train.txt").open("a") as log:
        return subprocess.Popen(
            [sys.executable, *TRAIN, *lines],
            stdout=log,
            stderr=log,
            env={
                **os.environ,
                "TF_NUM_INTRAOP_THREADS": threads,
                "TF_NUM_INTEROP_THREADS": threads,
            },
        )


def _seconds_file(path):
    return pathlib.Path(path) / "seconds.csv"
