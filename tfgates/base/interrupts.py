"""Ctrl-C before a command begins and after it has ended: the process ends silently."""

import contextlib
import signal


def end_at_once():
    """Lets Ctrl-C end the process, silently; a shell calls that exit code 130.

    A job in the background of a shell ignores Ctrl-C, and goes on to.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def taken():
    """Lets Ctrl-C raise `KeyboardInterrupt` while the block runs, and end the process after it."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        end_at_once()
