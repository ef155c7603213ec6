"""What is printed: without control characters, and whether or not a stream takes it."""

import os
import re
import sys
from typing import TextIO

# Those of ASCII and Latin-1, also as bytes of a name that is no UTF-8; line ends and directions of
# Unicode.
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f\udc80-\udc9f\u2028-\u202e\u2066-\u2069]")


def escaped(text: str) -> str:
    """Returns a text with its control characters written as in Python, as \\x1b."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def say(line: str) -> None:
    """Writes a line to stderr, where that is open and has room."""
    if sys.stderr is None:
        return
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Turns a stream that fails into one that drops what it gets: Python flushes it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
