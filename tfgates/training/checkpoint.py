"""Checkpoints: nothing that an epoch has finished is lost."""

import math
import os
import shutil
import warnings
import zlib

import h5py
import keras

from tfgates.base.errors import UserError
from tfgates.base.files import put_in_place
from tfgates.training.logs import best_epoch

KEPT = 2
# Bytes that HDF5 takes beside its numbers, at most.
OF_A_VARIABLE = 4096
CHECKSUM = "crc32"


class Checkpoint(keras.callbacks.Callback):
    """Saves weights, optimizer and noise at the end of each epoch, and keeps the last two files.

    The number of finished epochs is in the name of the file, which holds a checksum, is flushed to
    disk and renamed into place: a run that is killed at any moment finds its last finished epoch
    whole, and a damaged file is noticed. The epoch
    with the best validation accuracy is kept as well, best-NNNN.weights.h5; which one that is
    stands in the log alone, so that a resumed run remembers it.

    Args:
        folder: of the files.
        log: path of the CSV log, whose row of an epoch is written before its checkpoint.

    Raises:
        UserError: a file cannot be written, as on a full disk; what is finished stays.
    """

    def __init__(self, folder, log):
        super().__init__()
        self.folder = folder
        self.log = log

    def on_train_begin(self, logs=None):
        self.folder.mkdir(exist_ok=True)
        # Of a run that was killed while it wrote.
        for rest in self.folder.glob("unfinished-*"):
            rest.unlink()
        keep_best(self.folder, self.log)

    def on_epoch_end(self, epoch, logs=None):
        path = self.folder / f"epoch-{epoch + 1:04d}.weights.h5"
        unfinished = self.folder / f"unfinished-{path.name}"
        try:
            _require_room(unfinished, [*self.model.variables, *self.model.optimizer.variables])
            self.model.save_weights(unfinished, overwrite=True)
            _seal(unfinished)
            put_in_place(unfinished, path)
            keep_best(self.folder, self.log)
        # h5py reports a disk that fills up while it closes a file as a RuntimeError.
        except (OSError, RuntimeError) as error:
            for rest in self.folder.glob("unfinished-*"):
                rest.unlink()
            raise UserError(
                f"Cannot write the checkpoint of epoch {epoch + 1} to {self.folder}: {error}. "
                "What was finished before is kept: make room and start the same command again."
            ) from error
        for _, old in sorted(files(self.folder, "epoch").items())[:-KEPT]:
            old.unlink()


def _require_room(path, variables):
    """Takes the room of a file once before it is written: HDF5 may crash on a disk that is full.

    Where a write fails h5py says so on stderr, by itself, as often as it tries to close the file.

    Raises:
        OSError: there is none.
    """
    numbers = sum(variable.value.dtype.size * math.prod(variable.shape) for variable in variables)
    size = numbers + OF_A_VARIABLE * len(variables)
    with path.open("wb") as file:
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
    path.unlink()


def keep_best(folder, log):
    """Copies the checkpoint of the best epoch, where that was not done yet, and drops the older.

    Args:
        folder: of the checkpoints.
        log: path of the CSV log.
    """
    best = best_epoch(log)
    finished, kept = files(folder, "epoch"), files(folder, "best")
    if best not in finished or best in kept:
        return
    path = folder / f"best-{best:04d}.weights.h5"
    unfinished = folder / f"unfinished-{path.name}"
    shutil.copyfile(finished[best], unfinished)
    put_in_place(unfinished, path)
    for old in kept.values():
        old.unlink()


def files(folder, kind="epoch"):
    """Returns the checkpoints of a folder, "epoch" or "best", by their number of epochs."""
    paths = folder.glob(f"{kind}-[0-9]*.weights.h5")
    return {int(path.name.split("-")[1].split(".")[0]): path for path in paths}


def restore(folder, model):
    """Loads the last finished epoch that can be read into a built and compiled model.

    A damaged file is passed over, and said so, where there is one before it.

    Args:
        folder: of the files.
        model: `keras.Model`.

    Returns:
        The number of finished epochs; 0 where there is no file.

    Raises:
        UserError: every file is damaged, or they belong to another model.
    """
    paths = files(folder)
    damaged = []
    for epochs in sorted(paths, reverse=True):
        if _is_whole(paths[epochs]):
            load(paths[epochs], model)
            return epochs
        damaged.append(paths[epochs].name)
        print(f"{paths[epochs]} is damaged: going on from the epoch before.", flush=True)
    if damaged:
        raise UserError(
            f"Every checkpoint in {folder} is damaged: {', '.join(damaged)}. Remove them to start "
            "over, or name another --output_dir."
        )
    return 0


def checksum(folder, epochs):
    """Returns the checksum of the checkpoint after so many epochs; 0 without."""
    path = files(folder).get(epochs)
    if path is None:
        return 0
    with h5py.File(path) as file:
        return int(file.attrs[CHECKSUM])


def load(path, model):
    """Loads a checkpoint into a built and compiled model.

    Raises:
        UserError: it is damaged, or belongs to another model.
    """
    try:
        if not _is_whole(path):
            raise ValueError("it is damaged")
        model.optimizer.build(model.trainable_variables)
        with warnings.catch_warnings():
            # Keras only warns when the optimizer is another, and leaves it as it is.
            warnings.filterwarnings("error", "Skipping variable loading")
            model.load_weights(path)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        raise UserError(
            f"{path} cannot be read: {str(error)[:200]}. Remove it to start over, or "
            "name another --output_dir."
        ) from error


def _seal(path):
    """Writes the checksum of an HDF5 file's contents into it, which HDF5 does not do by itself."""
    with h5py.File(path, "a") as file:
        file.attrs[CHECKSUM] = _checksum(file)


def _is_whole(path):
    try:
        with h5py.File(path) as file:
            return file.attrs[CHECKSUM] == _checksum(file)
    # Whatever damaged bytes make of HDF5.
    except (OSError, KeyError, ValueError, RuntimeError, TypeError):
        return False


def _checksum(file):
    contents = {}
    file.visititems(lambda name, item: contents.update({name: item}))
    checksum = 0
    for name in sorted(contents):
        checksum = zlib.crc32(name.encode(), checksum)
        if isinstance(contents[name], h5py.Dataset):
            array = contents[name][()]
            checksum = zlib.crc32(f"{array.dtype}{array.shape}".encode(), checksum)
            checksum = zlib.crc32(array.tobytes(), checksum)
    return checksum
