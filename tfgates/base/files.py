"""Files and folders that are there as a whole, or not at all, even after a power cut."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket

HOST = socket.gethostname()
LEFT = re.compile(rf"\.tmp-.+-{re.escape(HOST)}-(\d+)")


@contextlib.contextmanager
def in_place_of(path):
    """Gives a path to write to, whose file or folder takes its place when the block has ended.

    Until then, and where the block fails, the file that was there stays. No other process writes
    to that path, and what killed ones have left in the folder is removed.

    Args:
        path: `pathlib.Path` of the file, or of a new folder.

    Yields:
        The path, beside the other one.
    """
    remove_left(path.parent)
    unfinished = path.with_name(f".tmp-{path.name}-{HOST}-{os.getpid()}")
    try:
        yield unfinished
        put_in_place(unfinished, path)
    finally:
        _remove(unfinished)


@contextlib.contextmanager
def replacing(path, newline=None):
    """Opens a text file that takes the place of another one when the block has ended.

    Args:
        path: of the file.
        newline: as of `open`; "" for CSV.

    Yields:
        The file, open for writing; see `in_place_of`.
    """
    with (
        in_place_of(pathlib.Path(path)) as unfinished,
        unfinished.open("w", encoding="utf-8", newline=newline) as file,
    ):
        yield file


def remove_left(folder):
    """Removes what `in_place_of` was writing into a folder when its process was killed."""
    for path in folder.glob(".tmp-*"):
        found = LEFT.fullmatch(path.name)
        if found and not _lives(int(found[1])):
            _remove(path)


def _lives(process):
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


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
