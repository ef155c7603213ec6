"""A folder in which one process works at a time."""

import contextlib
import fcntl
import os
import pathlib

from tfgates.base.errors import UserError


@contextlib.contextmanager
def locked(folder):
    """Makes a run folder, and keeps other processes from training in it while the block runs.

    Where the block fails, what this has made is removed again, if nothing else is in it.

    Args:
        folder: path.

    Raises:
        UserError: it cannot be made, or another process trains in it.
    """
    folder = pathlib.Path(folder)
    path = folder / ".lock"
    try:
        made = [one for one in (path, folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        lock = _take(path)
    except BlockingIOError as error:
        raise UserError(
            f"Another process trains in {folder}. Wait for it, or choose another --output_dir."
        ) from error
    except OSError as error:
        raise UserError(
            f"--output_dir={folder} cannot be used as a run folder: {error}. Choose another."
        ) from error
    with lock:
        try:
            yield
        except BaseException:
            for one in made:
                with contextlib.suppress(OSError):
                    one.unlink() if one == path else one.rmdir()
            raise


def _take(path):
    lock = path.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The process that had it may have removed the file since it was opened.
        if not path.exists() or not os.path.samestat(os.fstat(lock.fileno()), path.stat()):
            raise BlockingIOError
    except OSError:
        lock.close()
        raise
    return lock
