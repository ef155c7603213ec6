"""A file that is written as a whole, or not at all."""

import contextlib
import json
import pathlib


@contextlib.contextmanager
def replacing(path, newline=None):
    """Opens a text file that takes the place of another one when the block has ended.

    Until then, and where the block fails, the file that was there stays.

    Args:
        path: of the file.
        newline: as of `open`; "" for CSV.

    Yields:
        The file, open for writing.
    """
    path = pathlib.Path(path)
    unfinished = path.with_name(f".{path.name}.tmp")
    try:
        with unfinished.open("w", encoding="utf-8", newline=newline) as file:
            yield file
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def write_json(path, content):
    """Writes JSON, indented; see `replacing`."""
    with replacing(path) as file:
        file.write(json.dumps(content, indent=2) + "\n")
