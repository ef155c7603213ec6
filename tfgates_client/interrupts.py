"""Ctrl-C at any time: the first is taken, the next one ends the process."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

AGAIN_SECONDS = 0.05  # after which an interrupt that Python dropped is sent again


def end_at_once() -> None:
    """Lets Ctrl-C end the process, silently; a shell calls that exit code 130.

    A job in the background of a shell ignores Ctrl-C, and goes on to.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def taken_once() -> Iterator[None]:
    """Raises KeyboardInterrupt at the first Ctrl-C in the block; any other one ends the process.

    Python drops what is raised where an object is deleted, an interrupt like anything else: it is
    sent again then.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return

    def take(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise KeyboardInterrupt

    def dropped(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            hook(unraisable)
            return
        signal.signal(signal.SIGINT, take)
        arguments = threading.main_thread().ident, signal.SIGINT
        threading.Timer(AGAIN_SECONDS, signal.pthread_kill, arguments).start()

    hook = sys.unraisablehook
    signal.signal(signal.SIGINT, take)
    sys.unraisablehook = dropped
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        sys.unraisablehook = hook
