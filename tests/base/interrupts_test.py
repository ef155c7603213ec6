"""Ctrl-C while a command imports ends it silently, whichever command it is."""

import signal

import pytest
from examples import run_script

from tfgates.base import interrupts

# What each of them imports first of all that takes long.
COMMANDS = [
    ("keras", ["train.py"]),
    ("keras", ["-m", "tfgates.tools.evaluate", "--run=runs/a"]),
    ("absl", ["-m", "tfgates.tools.sweep"]),
    ("keras", ["serving/server.py"]),
    ("keras", ["serving/demo.py", "--run=runs/a"]),
    ("grpc", ["serving/client.py"]),
    ("grpc", ["-m", "tfgates_client"]),
]


@pytest.fixture(autouse=True)
def interruptible():
    """A shell's background job ignores interrupts, and so would its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("module", "command"), COMMANDS, ids=lambda value: " ".join(value))
def test_an_interrupt_while_it_imports_is_silent(tmp_path, module, command):
    (tmp_path / f"{module}.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
    )
    ended = run_script(*command, environment={"PYTHONPATH": str(tmp_path)})
    # A shell calls that 130.
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_it_is_raised_within_a_command_alone_and_stays_ignored_in_the_background():
    with interrupts.taken():
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupts.end_at_once()
    with interrupts.taken():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
