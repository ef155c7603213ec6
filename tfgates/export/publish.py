"""Writes a model where a server may be watching: it appears complete, by a rename."""

import pathlib
import tempfile

import tensorflow as tf

from tfgates.base.errors import UserError
from tfgates.base.files import in_place_of
from tfgates.export import checksums


def publish(model, folder, version=None, extras=None):
    """Writes a model as a version of a folder.

    Args:
        model: `ServedModel`.
        folder: the versions' folder; it is made where it is missing.
        version: a number from 1; None is the next one.
        extras: files of `assets.extra`, bytes by name.

    Returns:
        Path of the new version.

    Raises:
        UserError: the folder cannot be written, or the version is there already.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        versions = [int(path.name) for path in folder.iterdir() if is_version(path.name)]
        if version in versions:
            raise UserError(
                f"{folder / str(version)} exists already; a published version stays as it is. "
                "Choose another --version, or leave it out for the next one."
            )
        published = folder / str(version or max(versions, default=0) + 1)
        with in_place_of(published) as unfinished:
            _write(model, unfinished, extras or {})
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"Cannot write the export to {folder}: {error}.") from error
    return published


def is_version(name):
    """Whether a folder's name is a version: ASCII digits, as TensorFlow Serving reads them."""
    return name.isascii() and name.isdecimal()


def megabytes(version):
    """Returns the size of all files of a version, in 10^6 bytes."""
    return sum(path.stat().st_size for path in version.rglob("*") if path.is_file()) / 1e6


def _write(model, folder, extras):
    with tempfile.TemporaryDirectory() as temporary:
        labels = pathlib.Path(temporary) / "labels.txt"
        labels.write_text("".join(f"{label}\n" for label in model.labels))
        model.labels_file = tf.saved_model.Asset(str(labels))
        tf.saved_model.save(model, str(folder), signatures=model.signatures())
    (folder / "assets.extra").mkdir()
    for name, content in extras.items():
        (folder / "assets.extra" / name).write_bytes(content)
    checksums.write(folder)
