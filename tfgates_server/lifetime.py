"""How long the server's process lives, and what it does by itself until then."""

import contextlib
import signal
import socket
import sys
import threading


def wait_for_signal():
    """Returns at the first SIGTERM or SIGINT; the second one ends the process."""
    signals = (signal.SIGTERM, signal.SIGINT)
    # A handler of Python runs when this thread next does, and may not take the locks that it holds
    # then, as that of an event. The byte wakes it at once, whichever thread was interrupted.
    heard, told = socket.socketpair()
    told.setblocking(False)
    with heard, told:
        before = signal.set_wakeup_fd(told.fileno())
        for number in signals:
            signal.signal(number, lambda *_: None)
        heard.recv(1)
        for number in signals:
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(before)


def repeat(action, seconds, stopped):
    """Starts a thread that calls an action every so many seconds, until an event is set.

    What goes wrong in an action is reported; the next one is tried all the same.

    Args:
        action: function without arguments.
        seconds: 0: it is never called.
        stopped: `threading.Event`.

    Returns:
        The thread.
    """

    def loop():
        while seconds and not stopped.wait(seconds):
            try:
                action()
            except Exception as error:
                say(f"server.py: {error}", sys.stderr)

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    return thread


def say(line, file=None):
    """Prints a line where anyone reads it: a closed pipe or a full disk is no reason to stop."""
    with contextlib.suppress(OSError):
        print(line, file=file, flush=True)
