"""Flag files that name others: absl would follow a circle of them without end, or pass over it."""

import itertools
import pathlib
import re

from absl import flags

NAMED = re.compile(r"--?flagfile=(.*)")


def require_no_circle(arguments):
    """Refuses flag files that name themselves, by way of others or not.

    Args:
        arguments: of the command line.

    Raises:
        absl.flags.Error: names the file.
        OSError, UnicodeDecodeError: a file cannot be read.
    """
    sound: set[pathlib.Path] = set()

    def follow(line, around=frozenset()):
        found = NAMED.match(line)
        path = pathlib.Path(found[1].strip() if found else "").expanduser().resolve()
        # absl says what is missing; a pipe is read once.
        if not path.is_file() or path in sound:
            return
        if path in around:
            raise flags.Error(f"{line.strip()} stands in itself. Flag files name other ones.")
        for inner in path.read_text().splitlines():
            follow(inner, {*around, path})
        sound.add(path)

    for before, argument in itertools.pairwise(["", *arguments]):
        follow(f"{before}={argument}" if before.endswith("-flagfile") else argument)
