"""Files and folders that are there as a whole, or not at all, even after a power cut."""

import contextlib
import json
import os
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
        put_in_place(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def put_in_place(unfinished, path):
    """Renames a file, or a folder with all that it holds, once its bytes are on the disk.

    The folder around it is flushed after that: what follows can rely on the new name.

    Args:
        unfinished: path of what was written, beside `path`.
        path: where it belongs; a file that is there goes.
    """
    for part in (*unfinished.rglob("*"), unfinished):
        _flush(part)
    unfinished.replace(path)
    _flush(path.parent)


def _flush(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path, content):
    """Writes JSON, indented; see `replacing`."""
    with replacing(path) as file:
        file.write(json.dumps(content, indent=2) + "\n")
